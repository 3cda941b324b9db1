"""A canvas that is larger than a tile is encoded by tiles, and stitched into one grid."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from torch import nn

from argus_core import Needs, load_backbone
from argus_core.backbones.base import Backbone
from argus_core.canvas import Tiles
from argus_core.errors import ArgusError
from argus_core.tokens import FeatureInfo

NEEDS = Needs((0, 1), cls=True)


class Pooled(nn.Module):
    """A network without any context: every cell is the mean of its own pixels, at strides of 8 and 16 px."""

    def __init__(self, prefix: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.num_prefix_tokens = int(prefix)
        self.sizes: list[tuple[int, ...]] = []

    def forward_intermediates(self, x, indices=None, return_prefix_tokens=False, **_):
        self.sizes.append(tuple(x.shape))
        taps = [nn.functional.avg_pool2d(x * self.weight, (8, 16)[index]) for index in indices]
        # The token before the patches counts the pixels that are not 0, padding left out.
        return (
            [(tap, (x != 0).float().mean((1, 2, 3))[:, None, None]) for tap in taps] if return_prefix_tokens else taps
        )


@cache
def loaded(name: str) -> Backbone:
    return load_backbone(name, precision="fp32")


def pooled(prefix: bool = False) -> Backbone:
    info = FeatureInfo((3, 3), (8, 16), prefix=1)
    half = (0.5,) * 3
    return Backbone(Pooled(prefix), info, name="pooled", mean=half, std=half, license="Apache-2.0", precision="fp32")


def canvases(*size: int) -> torch.Tensor:
    return torch.randint(0, 256, (*size, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def whole(images: torch.Tensor) -> torch.Tensor:
    return torch.tensor(images.shape[1:3]).expand(len(images), 2)


@pytest.mark.parametrize("size", [(64, 640), (160, 208), (64, 64), (16, 320), (336, 16)])
@pytest.mark.parametrize("overlap", [0, 0.25, 0.7])
def test_a_network_without_context_gives_the_same_by_tiles(size, overlap):
    backbone, images = pooled(), canvases(2, *size)
    extent = torch.tensor([size, [max(1, size[0] - 21), max(1, size[1] // 3)]])
    tiled = backbone.encode(images, extent, NEEDS, Tiles(64, overlap=overlap, batch=3))
    usual = backbone.encode(images, extent, NEEDS)
    for layer in (0, 1):
        assert torch.equal(tiled.maps[layer], usual.maps[layer])
        assert torch.allclose(tiled.prefix[layer], usual.prefix[layer], atol=1e-6)
    assert tiled.size == size and torch.equal(tiled.extent, extent)


@pytest.mark.parametrize("name", ["tiny", "lite0"])
def test_the_cells_of_a_tile_are_those_that_it_gives_alone(name):
    backbone = loaded(name)
    images, tiles = canvases(1, 160, 224), Tiles(96, 128, overlap=0.25, batch=2)
    needs = Needs((1, backbone.info.depth - 1), cls=True)
    tiled = backbone.encode(images, whole(images), needs, tiles)
    covered = list(tiles.cover((160, 224), (160, 224), max(backbone.info.strides)))
    for first in range(0, len(covered), 2):  # in the same batches, as sums of other batches may be rounded differently
        pair = covered[first : first + 2]
        crops = torch.cat([images[:, r.start : r.start + r.size, c.start : c.start + c.size] for r, c in pair])
        alone = backbone.encode(crops, whole(crops), needs)
        for number, (rows, columns) in enumerate(pair):
            for layer in needs.layers:
                stride = backbone.info.strides[layer]
                inside = [
                    slice((s.own.start - s.start) // stride, (s.own.stop - s.start) // stride) for s in (rows, columns)
                ]
                at = [slice(s.own.start // stride, s.own.stop // stride) for s in (rows, columns)]
                assert torch.equal(
                    tiled.maps[layer][0, :, at[0], at[1]], alone.maps[layer][number, :, inside[0], inside[1]]
                )


@pytest.mark.parametrize("name", ["tiny", "lite0"])
def test_an_input_that_fits_is_one_pass_with_the_same_bits(name):
    backbone, images = loaded(name), canvases(2, 64, 96)
    needs = Needs((backbone.info.depth - 1,), cls=True)
    tiled, usual = (backbone.encode(images, whole(images), needs, tiles) for tiles in (Tiles(64, 96), None))
    layer = needs.layers[0]
    assert torch.equal(tiled.maps[layer], usual.maps[layer]) and torch.equal(tiled.prefix[layer], usual.prefix[layer])


def test_the_number_of_passes_and_their_size_are_bounded():
    backbone = pooled()
    network = backbone.model
    backbone.encode(canvases(1, 64, 64), torch.tensor([[64, 64]]), NEEDS, Tiles(64))
    assert network.sizes == [(1, 3, 64, 64)]
    network.sizes.clear()
    images = canvases(2, 64, 640)
    backbone.encode(images, torch.tensor([[64, 640], [5, 70]]), NEEDS, Tiles(64, overlap=0, batch=4))
    assert network.sizes == [(4, 3, 64, 64), (4, 3, 64, 64), (4, 3, 64, 64)], "10 tiles, and 2 of the small image"


def test_the_token_of_the_image_is_the_mean_of_its_tiles_by_the_pixels_they_show():
    backbone = pooled(prefix=True)
    images, extent = torch.full((1, 64, 192, 3), 255, dtype=torch.uint8), torch.tensor([[64, 144]])
    tokens = backbone.encode(images, extent, NEEDS, Tiles(64, overlap=0))
    # Three tiles that begin at 0, 32 and 80 show 64 columns each, all of them image.
    assert tokens.prefix[0].flatten().tolist() == pytest.approx([1.0])
    tokens = backbone.encode(images, torch.tensor([[40, 40]]), NEEDS, Tiles(64, overlap=0))
    assert tokens.prefix[0].flatten().tolist() == pytest.approx([40 * 40 / 64**2])


def test_what_padding_holds_does_not_count():
    backbone, images = pooled(), canvases(1, 64, 320)
    extent = torch.tensor([[50, 171]])
    other = images.clone()
    other[:, 50:], other[:, :, 171:] = 7, 9
    floats = torch.rand(1, 3, 64, 320)
    floats[..., 176:] = torch.nan  # cells without a pixel of image
    for first, second in (
        (backbone.encode(images, extent, NEEDS, Tiles(64)), backbone.encode(other, extent, NEEDS, Tiles(64))),
        (backbone(floats, NEEDS, extent, Tiles(64)), backbone(floats.nan_to_num(3.0), NEEDS, extent, Tiles(64))),
    ):
        for layer in (0, 1):
            assert torch.equal(first.maps[layer], second.maps[layer]) and first.maps[layer].isfinite().all()


def test_tiles_of_a_compiled_network_are_the_same():
    backbone, images = pooled(), canvases(1, 64, 160)
    usual = backbone.encode(images, whole(images), NEEDS, Tiles(64))
    backbone.compile(backend="eager")
    assert torch.equal(backbone.encode(images, whole(images), NEEDS, Tiles(64)).maps[1], usual.maps[1])


def test_a_canvas_or_tiles_that_do_not_divide_into_cells_are_refused():
    backbone = loaded("lite0")
    with pytest.raises(ArgusError, match=r"tiles of 72x72 px .* 64x64 and 96x96"):
        backbone.encode(canvases(1, 128, 128), torch.tensor([[128, 128]]), Needs((0,)), Tiles(72))
    with pytest.raises(ArgusError, match="32 px cells"):
        backbone.encode(canvases(1, 136, 128), torch.tensor([[136, 128]]), Needs((0,)), Tiles(64))
