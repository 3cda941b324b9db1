"""Encoding a canvas that is larger than what the backbone was trained on: by tiles, stitched into one grid."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from argus_core.canvas.tiles import Tile, Tiles
from argus_core.tokens import FeatureInfo

Tap = tuple[Tensor, Tensor | None]
"""A layer's map (B, C, h, w), and of transformers the tokens before the patches (B, P, C)."""
Run = Callable[[Tensor, Tensor], Sequence[Tap]]
"""One pass: the taps of images (B, 3, H, W) that end at an extent (B, 2)."""


class _Part(NamedTuple):
    """A tile of one image of the batch, where the image ends in it, and its share of the image's pixels."""

    image: int
    tile: Tile
    extent: tuple[int, int]
    share: float


def encode_tiles(
    run: Run, images: Tensor, extent: Tensor, tiles: Tiles, info: FeatureInfo, layers: Sequence[int]
) -> list[Tap]:
    """The taps of ``layers`` for (B, 3, H, W) images, each cell from the tile whose centre is nearest to it.

    Tokens before the patches are those of the tiles, averaged by the pixels of image that each tile shows.
    """
    size = (images.shape[-2], images.shape[-1])
    parts = _parts(size, extent, tiles, max(info.strides))
    whole: list[Tap] = []
    for first in range(0, len(parts), tiles.batch):
        some = parts[first : first + tiles.batch]
        taps = run(torch.stack([_crop(images, part) for part in some]), extent.new_tensor([p.extent for p in some]))
        whole = whole or [
            _room(tap, len(images), info.grid(size, layer)) for tap, layer in zip(taps, layers, strict=True)
        ]
        for tap, into, layer in zip(taps, whole, layers, strict=True):
            _put(tap, into, some, info.strides[layer])
    return whole


def _parts(size: tuple[int, int], extent: Tensor, tiles: Tiles, cell: int) -> list[_Part]:
    """The tiles of all images of a batch, in order."""
    parts = []
    for image, end in enumerate(extent.tolist()):
        shown = [(tile, _extent(tile, end)) for tile in tiles.cover(size, end, cell)]
        pixels = sum(rows * columns for _, (rows, columns) in shown)
        parts += [_Part(image, tile, inside, inside[0] * inside[1] / pixels) for tile, inside in shown]
    return parts


def _extent(tile: Tile, end: Sequence[int]) -> tuple[int, int]:
    """Where an image that ends at ``end`` ends within a tile."""
    rows, columns = (max(0, min(span.size, n - span.start)) for span, n in zip(tile, end, strict=True))
    return rows, columns


def _crop(images: Tensor, part: _Part) -> Tensor:
    (top, height, _), (left, width, _) = part.tile
    return images[part.image, :, top : top + height, left : left + width]


def _room(tap: Tap, images: int, grid: tuple[int, int]) -> Tap:
    """Zeros for the taps of whole images, with the layout in memory of a tile's."""
    values, prefix = tap
    channels = values.shape[1]
    if values.permute(0, 2, 3, 1).is_contiguous():
        room = values.new_zeros(images, *grid, channels).permute(0, 3, 1, 2)
    else:
        room = values.new_zeros(images, channels, *grid)
    return room, None if prefix is None else prefix.new_zeros((images, *prefix.shape[1:]), dtype=torch.float32)


def _put(tap: Tap, into: Tap, parts: Sequence[_Part], stride: int) -> None:
    """Write the cells that tiles answer for to the grids of their images, and add up what is before the patches."""
    for values, part in zip(tap[0], parts, strict=True):
        (top, _, rows), (left, _, columns) = part.tile
        inside = values[:, _cells(rows, top, stride), _cells(columns, left, stride)]
        into[0][part.image, :, _cells(rows, 0, stride), _cells(columns, 0, stride)] = inside
    if tap[1] is not None and into[1] is not None:
        for prefix, part in zip(tap[1], parts, strict=True):
            into[1][part.image] += part.share * prefix.float()


def _cells(pixels: slice, start: int, stride: int) -> slice:
    return slice((pixels.start - start) // stride, (pixels.stop - start) // stride)
