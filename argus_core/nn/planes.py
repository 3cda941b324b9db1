"""Dense maps on the canvas, and merging those of several passes into image pixels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from argus_core.canvas import Placement
from argus_core.errors import ArgusError
from argus_core.nn.axes import Reading, resized, through_cells
from argus_core.nn.numerics import without_tf32

TILE, WIDE_TILE = 1 << 20, 1 << 26
"""Values that are enlarged at once: few enough for a processor's cache, and on a GPU so many (256 MB) that few kernels
are started."""
COLUMNS = 128
"""Columns of a tile in a cache: wider ones would be mixed of more cells, nearly all of which have no share."""


class _Slab(NamedTuple):
    """The maps (h, C, w) of a pass in cells of ``stride`` pixels, and the part of the plane that they cover."""

    maps: Tensor
    stride: int
    rows: slice
    columns: slice
    mirrored: bool


class _Term(NamedTuple):
    """Maps (h, C, w), and the cells that the image's rows and columns are mixed of."""

    maps: Tensor
    rows: Reading
    columns: Reading


class _Block(NamedTuple):
    """Some cells along an axis, and the shares (pixels, cells) by which some pixels are mixed of them."""

    cells: slice
    shares: Tensor


@dataclass(frozen=True)
class Plane:
    """C maps over the whole image at the scale of its passes, averaged where they overlap.

    They are computed when they are read. ``count`` (h, w) is how many passes cover a pixel, 0 where a crop cut it.
    """

    slabs: Sequence[_Slab]
    count: Tensor
    image_size: tuple[int, int]

    @property
    def channels(self) -> int:
        """How many maps there are."""
        return self.slabs[0].maps.shape[1]

    @property
    def seen(self) -> Tensor:
        """(h, w) bool: where a pass covers the image."""
        return self.count > 0

    @property
    def values(self) -> Tensor:
        """(C, h, w): all maps at once."""
        height, width = self.count.shape
        return replace(self, image_size=(height, width)).to_image()

    def tiles(self) -> Iterator[tuple[slice, slice, Tensor]]:
        """Rows and columns of the image, and the maps (r, C, c) at their pixel centres, bilinear; a tile at a time.

        What no pass covers repeats the border, and is never mixed in.
        """
        height, width = self.image_size
        maps = self.slabs[0].maps
        room, wide = (TILE, min(COLUMNS, width)) if maps.device.type == "cpu" else (WIDE_TILE, width)
        terms = self._terms()
        blocks = [(part, _blocks([term.columns for term in terms], part, maps)) for part in _parts(width, wide)]
        for rows in _parts(height, max(1, room // (self.channels * wide))):
            down = _blocks([term.rows for term in terms], rows, maps)
            strips = {number: _strip(terms[number].maps, block) for number, block in down.items()}
            for columns, across in blocks:
                parts = [
                    (strips[number][:, cells], shares.T)
                    for number, (cells, shares) in across.items()
                    if number in strips
                ]
                size = (rows.stop - rows.start) * self.channels, columns.stop - columns.start
                yield rows, columns, (_sum(parts) if parts else maps.new_zeros(size)).unflatten(0, (-1, self.channels))

    def to_image(self) -> Tensor:
        """(C, H, W): the maps at the image's pixel centres."""
        maps = self.slabs[0].maps
        out = maps.new_empty(self.channels, *self.image_size)
        for rows, columns, tile in self.tiles():
            out[:, rows, columns] = tile.transpose(0, 1)
        return out

    def seen_in_image(self) -> Tensor:
        """(H, W) bool: which pixels of the image a pass covers."""
        rows, columns = (
            (torch.arange(n, device=self.count.device) * m // n)
            for n, m in zip(self.image_size, self.count.shape, strict=True)
        )
        return self.seen[rows][:, columns]

    def _terms(self) -> list[_Term]:
        """What adds up to the image: the passes over every band of rows, divided by how many there are."""
        (tall, wide), (height, width) = self.count.shape, self.image_size
        down = resized(tall, height, _span([slab.rows for slab in self.slabs]))
        across = resized(wide, width, _span([slab.columns for slab in self.slabs]))
        terms = []
        for band in _bands([slab.rows for slab in self.slabs]):
            slabs = [slab for slab in self.slabs if slab.rows.start <= band.start and band.stop <= slab.rows.stop]
            count = sum((_mask(slab.columns, wide) for slab in slabs), np.zeros(wide))
            rows, columns = down.weighted(_mask(band, tall)), across.weighted(1 / count.clip(1))
            terms += [_term(slab, rows, columns) for slab in slabs]
        return terms


def merge_passes(maps: Sequence[Tensor], stride: int, places: Sequence[Placement]) -> Plane:
    """Merge the maps (C, h, w) of the passes over one image: enlarged to canvas pixels, then averaged.

    ``stride`` is the size of a cell in canvas pixels. Raises ArgusError for passes of different scales.
    """
    first = places[0]
    if any(place.scale != first.scale or place.image_size != first.image_size for place in places):
        raise ArgusError("passes of different scales cannot be laid over each other")
    size = tuple(round(n * s) for n, s in zip(first.image_size, first.scale, strict=True))
    slabs = [_slab(values, stride, place, size[1]) for values, place in zip(maps, places, strict=True)]
    count = maps[0].new_zeros(size)
    for slab in slabs:
        count[slab.rows, slab.columns] += 1
    return Plane(slabs, count, first.image_size)


def enlarge(maps: Tensor, stride: int, size: tuple[int, int]) -> Tensor:
    """(B, C, h, w) maps of cells of ``stride`` pixels, bilinearly on a canvas of ``size``, which cells may overhang."""
    if stride == 1:
        return maps[..., : size[0], : size[1]]
    whole = [stride * n for n in maps.shape[2:]]
    return F.interpolate(maps, size=whole, mode="bilinear", align_corners=False)[..., : size[0], : size[1]]


def read_cells(maps: Tensor, stride: int, pixels: Tensor) -> Tensor:
    """What ``enlarge`` gives of maps (C, h, w) at canvas pixels (N, 2), row and column: (N, C)."""
    size = torch.tensor([stride * n for n in maps.shape[1:]], device=maps.device)
    places = (2 * pixels + 1) / size - 1  # where -1 and 1 are the outer edges
    precise = maps.to(torch.promote_types(maps.dtype, torch.float32))[None]
    grid = places.flip(1)[None, None].to(precise.dtype)
    return F.grid_sample(precise, grid, padding_mode="border", align_corners=False)[0, :, 0].T


def _slab(maps: Tensor, stride: int, place: Placement, width: int) -> _Slab:
    """The maps of a pass, and its place on the plane."""
    (height, wide), (top, left) = place.extent, (round(-o) for o in place.offset)
    covered = [min(n, stride * cells) for n, cells in zip((height, wide), maps.shape[1:], strict=True)]
    rows, columns = slice(top, top + covered[0]), slice(left, left + covered[1])
    if place.mirrored:
        columns = slice(width - columns.stop, width - columns.start)
    precise = maps.to(torch.promote_types(maps.dtype, torch.float32))
    return _Slab(precise.transpose(0, 1).contiguous(), stride, rows, columns, place.mirrored)


def _term(slab: _Slab, rows: Reading, columns: Reading) -> _Term:
    """A pass as it is read through pixels of the plane."""
    tall, _, wide = slab.maps.shape
    return _Term(
        slab.maps,
        through_cells(rows, slab.rows, slab.stride, tall),
        through_cells(columns, slab.columns, slab.stride, wide, slab.mirrored),
    )


def _bands(parts: Sequence[slice]) -> list[slice]:
    """An axis cut wherever one of its parts begins or ends."""
    return [slice(*ends) for ends in pairwise(sorted({end for part in parts for end in (part.start, part.stop)}))]


def _span(parts: Sequence[slice]) -> slice:
    """From the first of some parts of an axis to the last."""
    return slice(min(part.start for part in parts), max(part.stop for part in parts))


def _mask(part: slice, length: int) -> npt.NDArray[np.float64]:
    """1 inside a part of an axis, 0 elsewhere."""
    mask = np.zeros(length)
    mask[part] = 1
    return mask


def _parts(length: int, step: int) -> list[slice]:
    """An axis cut into parts of ``step``, the last of which may be shorter."""
    return [slice(start, min(start + step, length)) for start in range(0, length, step)]


def _blocks(readings: Sequence[Reading], pixels: slice, maps: Tensor) -> dict[int, _Block]:
    """Of every reading, by its number, the cells that some pixels are mixed of, if any; for products with ``maps``."""
    blocks = ((number, reading.block(pixels)) for number, reading in enumerate(readings))
    return {
        number: _Block(cells, torch.from_numpy(shares).to(maps)) for number, (cells, shares) in blocks if shares.size
    }


def _strip(maps: Tensor, rows: _Block) -> Tensor:
    """(r * C, w): rows of the image in columns of cells."""
    return _sum([(rows.shares, maps[rows.cells].flatten(1))]).view(-1, maps.shape[2])


def _sum(products: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """The sum of matrix products, in float32 also within autocast, which leaves operations in place alone."""
    left, right = products[0]
    total = left.new_empty(left.shape[0], right.shape[1])
    with without_tf32(left.device):
        for place, (left, right) in enumerate(products):
            total.addmm_(left, right, beta=min(place, 1))
    return total
