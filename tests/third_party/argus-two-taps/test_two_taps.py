import pytest
import torch
from argus_two_taps import TwoTaps

from argus_core import ArgusError, FeatureInfo, Segment
from argus_core.testing import head_suite

test_head = head_suite("segment.two_taps")

CONVNET = FeatureInfo(channels=(16, 24, 32), strides=(4, 8, 16), prefix=1)


@pytest.mark.parametrize("layers", [(0, 2), (2, 0), (1, 2)])
def test_layers_of_different_strides_meet_on_the_finer_grid(layers):
    task = Segment.small()
    head = TwoTaps(CONVNET, task, layers=layers).eval()
    tokens, targets = task.example(CONVNET, layers, (48, 80), 3, torch.Generator().manual_seed(0))
    output = head(tokens.features(head.needs))
    stride = min(CONVNET.strides[layer] for layer in layers)
    assert output.stride == stride and output.logits.shape == (3, 3, 48 // stride, 80 // stride)
    for prediction in head.decode(output, tokens.size):
        task.check(prediction, tokens.size)
    assert head.loss(output, targets)["cross_entropy"].isfinite()


def test_invalid_options_are_refused():
    with pytest.raises(ArgusError, match="dropout=1"):
        TwoTaps(CONVNET, Segment.small(), dropout=1)
