"""Taps of several strides as one map: means and bilinear enlargement in which padding never counts."""

import pytest
import torch
import torch.nn.functional as F

from argus_core.errors import ArgusError
from argus_core.saving.build import build_head
from argus_core.tasks.detect import Detect
from argus_core.tokens import (
    FeatureInfo,
    Features,
    Needs,
    Taps,
    cell_mask,
    common_stride,
    default_layers,
    pyramid_layers,
    quarter_layers,
    restride,
)

CONVNET = FeatureInfo((8, 12, 16, 20, 24), (4, 8, 16, 32, 32), prefix=1)
WHOLE = torch.tensor([[96, 128]])


def padded(channels, stride, extent, size, seed=0):
    grid = tuple(-(-n // stride) for n in size)
    x = torch.randn(len(extent), channels, *grid, generator=torch.Generator().manual_seed(seed))
    return x * cell_mask(extent, stride, grid)


def test_defaults_are_the_last_block_or_the_last_layers_of_the_usual_strides():
    assert default_layers(FeatureInfo.vit(8)) == (-1,)
    assert default_layers(CONVNET) == (1, 2, 4)
    assert default_layers(FeatureInfo((8, 8, 8), (2, 4, 8))) == (2,)
    assert default_layers(FeatureInfo((8, 8), (2, 4))) == (-1,)
    widened = FeatureInfo((8, 12, 16, 64), (8, 16, 32, 32), stages=3)
    assert default_layers(widened) == (0, 1, 2) and FeatureInfo.from_dict(widened.to_dict()) == widened
    assert pyramid_layers(CONVNET, (4, 8, 16, 32)) == (0, 1, 2, 4)
    assert quarter_layers(12) == (2, 5, 8, 11)


def test_the_stride_is_the_one_nearest_to_16_or_the_given_one():
    assert common_stride(CONVNET, Needs((1, 2, 4))) == 16
    assert common_stride(CONVNET, Needs((0, 1))) == 8
    assert common_stride(CONVNET, Needs((3, 4))) == 32
    assert common_stride(CONVNET, Needs((1, 2)), stride=4) == 4
    assert common_stride(FeatureInfo.vit(8, stride=14), Needs((2, 5))) == 14
    with pytest.raises(ArgusError, match=r"strides \[4, 32\], which cannot be brought to 24 px"):
        common_stride(CONVNET, Needs((0, 4)), stride=24)


def test_without_padding_the_resampling_is_that_of_torch():
    fine, coarse = padded(3, 8, WHOLE, (96, 128)), padded(3, 32, WHOLE, (96, 128))
    torch.testing.assert_close(restride(fine, 8, 16, WHOLE, (96, 128)), F.avg_pool2d(fine, 2))
    wanted = F.interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=False)
    torch.testing.assert_close(restride(coarse, 32, 16, WHOLE, (96, 128)), wanted)
    assert restride(fine, 8, 8, WHOLE, (96, 128)) is fine


@pytest.mark.parametrize("stride", [4, 8, 32])
@pytest.mark.parametrize("extent", [(64, 96), (50, 70), (33, 17)])
def test_padding_never_counts(stride, extent):
    ends, size = torch.tensor([extent]), (96, 128)
    x = padded(5, stride, ends, size)
    found = restride(x, stride, 16, ends, size)
    rows, cols = (-(-n // 16) for n in extent)
    # The same cells on a canvas that ends with the image, as far as cells do.
    cut = tuple(-(-n // 32) * 32 for n in extent)
    alone = restride(x[..., : cut[0] // stride, : cut[1] // stride], stride, 16, ends, cut)
    torch.testing.assert_close(found[..., :rows, :cols], alone[..., :rows, :cols])
    assert not found[..., rows:, :].any() and not found[..., cols:].any()
    ones = restride(cell_mask(ends, stride, (x.shape[2], x.shape[3])).float(), stride, 16, ends, size)
    torch.testing.assert_close(ones[..., :rows, :cols], torch.ones(1, 1, rows, cols))  # a mean of ones is one


def test_a_stack_holds_every_layer_at_one_stride():
    needs = Needs((1, 2, 4))
    taps, extent = Taps(CONVNET, needs), torch.tensor([[96, 128], [40, 100]])
    layers = zip((12, 16, 24), (8, 16, 32), strict=True)
    maps = tuple(padded(channels, stride, extent, (96, 128), stride) for channels, stride in layers)
    stack = taps(Features(maps, (), extent, (96, 128)))
    assert (taps.stride, taps.channels, stack.shape) == (16, 52, (2, 52, 6, 8))
    torch.testing.assert_close(stack[:, 12:28], maps[1])
    torch.testing.assert_close(stack[:1, :12], F.avg_pool2d(maps[0][:1], 2))


def test_a_view_has_that_map_alone():
    taps, extent = Taps(CONVNET, Needs((3, 4))), torch.tensor([[96, 128]])
    maps = (padded(20, 32, extent, (96, 128)), padded(24, 32, extent, (96, 128), 1))
    given = Features(maps, (), extent, (96, 128))
    ((seen, target),) = taps.views([(given, "target")])
    assert target == "target" and seen.size == given.size and len(seen.maps) == 1
    torch.testing.assert_close(seen.map, torch.cat(maps, dim=1))


@pytest.mark.parametrize(
    "name",
    [
        "analytic_person",
        "adaptive_query",
        "centernet",
        "compression",
        "patch_assembly",
        "prototype",
        "relational_corners",
        "sparse_query",
        "tropical",
        "wavelet",
    ],
)
def test_heads_that_offer_no_layers_read_the_usual_ones(name):
    head = build_head(f"detect.{name}", CONVNET, Detect(classes=("person", "b")), {})
    assert head.needs.layers == (1, 2, 4) and (head.taps.stride, head.taps.channels) == (16, 52)
