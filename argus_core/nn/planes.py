"""Dense maps on the canvas, and merging those of several passes into image pixels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from argus_core.canvas import Placement
from argus_core.errors import ArgusError

STRIP, WIDE_STRIP = 1 << 18, 1 << 26
"""Values per step of enlarging maps to the image: few enough for a processor's cache, and on a GPU so many (256 MB)
that few kernels are started."""
BAND = 1 << 26
"""Values of a plane that are computed at once (256 MB), since a large photograph has gigabytes of them."""


class _Slab(NamedTuple):
    """The maps (C, h, w) of a pass in cells of ``stride`` pixels, and the part of the image that they cover."""

    maps: Tensor
    stride: int
    place: Placement
    rows: slice
    columns: slice


@dataclass(frozen=True)
class Plane:
    """Maps (C, h, w) over the whole image at the scale of its passes, averaged where they overlap.

    They are computed when they are read. ``count`` (h, w) is how many passes cover a pixel, 0 where a crop cut it.
    """

    slabs: Sequence[_Slab]
    count: Tensor
    image_size: tuple[int, int]

    @property
    def seen(self) -> Tensor:
        """(h, w) bool: where a pass covers the image."""
        return self.count > 0

    @property
    def values(self) -> Tensor:
        """(C, h, w): all maps at once."""
        return self._rows(0, len(self.count))

    def strips(self) -> Iterator[tuple[slice, Tensor]]:
        """The maps at the image's pixel centres, bilinear, a strip of rows (C, r, w) at a time."""
        height, width = self.image_size
        maps, (tall, wide) = self.slabs[0].maps, self.count.shape
        room = STRIP if maps.device.type == "cpu" else WIDE_STRIP
        rows = max(1, room // (len(maps) * width))
        band = max(1, BAND // (len(maps) * wide) * height // tall // rows) * rows
        for first in range(0, height, band):
            stop = min(first + band, height)
            low, high = (int(_places(tall, height, slice(row, row + 1))[0]) for row in (first, stop - 1))
            values = self._rows(low, min(high + 2, tall))
            for start in range(first, stop, rows):
                part = slice(start, min(start + rows, stop))
                strip = _bilinear(values, _places(tall, height, part, maps.device), low, dim=1)
                yield part, _bilinear(strip, _places(wide, width, slice(0, width), maps.device), 0, dim=2)

    def to_image(self) -> Tensor:
        """(C, H, W): the maps at the image's pixel centres."""
        return torch.cat([strip for _, strip in self.strips()], dim=1)

    def seen_in_image(self) -> Tensor:
        """(H, W) bool: which pixels of the image a pass covers."""
        rows, columns = (
            (torch.arange(n, device=self.count.device) * m // n)
            for n, m in zip(self.image_size, self.count.shape, strict=True)
        )
        return self.seen[rows][:, columns]

    def _rows(self, first: int, stop: int) -> Tensor:
        """(C, stop - first, w): some rows; what no pass covers repeats the border, and is never mixed in."""
        # From the slabs, as asking the tensor ``seen`` would wait for a GPU.
        rows, columns = _span([slab.rows for slab in self.slabs]), _span([slab.columns for slab in self.slabs])
        top, bottom = (min(max(row, rows[0]), rows[1]) for row in (first, stop - 1))
        maps = self.slabs[0].maps
        total = maps.new_zeros(len(maps), bottom + 1 - top, self.count.shape[1])
        for slab in self.slabs:
            begin, end = max(top, slab.rows.start), min(bottom + 1, slab.rows.stop)
            if begin < end:
                total[:, begin - top : end - top, slab.columns] += _enlarged(slab, begin, end)
        total /= self.count[top : bottom + 1].clamp(min=1)
        sides = (columns[0], self.count.shape[1] - 1 - columns[1], top - first, stop - 1 - bottom)
        return (
            F.pad(total[None, :, :, columns[0] : columns[1] + 1], sides, mode="replicate")[0] if any(sides) else total
        )


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


def _slab(maps: Tensor, stride: int, place: Placement, width: int) -> _Slab:
    """The maps of a pass, and its place on the plane."""
    (height, wide), (top, left) = place.extent, (round(-o) for o in place.offset)
    covered = [min(n, stride * cells) for n, cells in zip((height, wide), maps.shape[1:], strict=True)]
    rows, columns = slice(top, top + covered[0]), slice(left, left + covered[1])
    if place.mirrored:
        columns = slice(width - columns.stop, width - columns.start)
    return _Slab(maps, stride, place, rows, columns)


def _span(parts: Sequence[slice]) -> tuple[int, int]:
    """The first and the last index of some parts of an axis."""
    return min(part.start for part in parts), max(part.stop for part in parts) - 1


def _enlarged(slab: _Slab, begin: int, end: int) -> Tensor:
    """Rows ``begin`` to ``end`` of the plane that a pass covers, not mirrored, in canvas pixels."""
    first, last = begin - slab.rows.start, end - slab.rows.start
    # A cell more on either side: between their centres, rows are mixed of two cells.
    low, high = max(0, first // slab.stride - 1), -(-last // slab.stride) + 1
    rows = enlarge(slab.maps[None, :, low:high], slab.stride, (last - low * slab.stride, slab.place.extent[1]))[0]
    return (rows.flip(2) if slab.place.mirrored else rows)[:, first - low * slab.stride :]


def _places(n: int, length: int, part: slice, device: torch.device | None = None) -> Tensor:
    """Where ``part`` of ``length`` pixels lies among ``n``, with half-pixel centres."""
    pixels = torch.arange(part.start, part.stop, dtype=torch.float64, device=device)
    return ((pixels + 0.5) * n / length - 0.5).clamp(0, n - 1)


def _bilinear(values: Tensor, places: Tensor, first: int, dim: int) -> Tensor:
    """Read one axis, whose index begins at ``first``, at ``places``."""
    low = places.floor().long()
    weight = (places - low).to(values.dtype)
    weight = weight[:, None] if dim == 1 else weight
    low = low - first
    high = (low + 1).clamp(max=values.shape[dim] - 1)
    return torch.lerp(values.index_select(dim, low), values.index_select(dim, high), weight)
