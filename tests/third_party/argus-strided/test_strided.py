import pytest
import torch
from argus_strided import resnet_dilated

from argus_core import Needs
from argus_core.testing import backbone_suite

test_backbone = backbone_suite("resnet_dilated", options={"output_stride": 16})


def test_the_last_layers_have_a_stride_of_eight_pixels():
    backbone = resnet_dilated()
    assert backbone.info.strides == (2, 4, 8, 8, 8) and backbone.info.channels[-1] == 512
    tokens = backbone(torch.randn(2, 3, 64, 96), Needs(layers=(2, 4), cls=True))
    assert tokens.maps[4].shape == (2, 512, 8, 12) and tokens.prefix[4].shape == (2, 1, 512)
    scale = tokens.maps[4].std()
    assert 0.1 < scale < 10


def test_weights_do_not_depend_on_the_random_state():
    torch.manual_seed(0)
    first = resnet_dilated().weights_sha256
    torch.manual_seed(1)
    assert resnet_dilated().weights_sha256 == first != resnet_dilated(depth=34).weights_sha256


@pytest.mark.parametrize("depth", [18, 50])
def test_a_file_of_timm_with_its_classifier_is_read(tmp_path, depth):
    from safetensors.torch import save_file

    backbone = resnet_dilated(depth=depth)
    state = {key: 2 * value for key, value in backbone.model.state_dict().items()}
    save_file({**state, "fc.weight": torch.zeros(3, 2), "fc.bias": torch.zeros(3)}, tmp_path / "resnet.safetensors")
    loaded = resnet_dilated(tmp_path / "resnet.safetensors", depth=depth)
    assert loaded.license == "unknown" and loaded.weights_sha256 != backbone.weights_sha256
