"""Dense maps on the canvas, and merging those of several passes into image pixels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from argus_core.canvas import Placement
from argus_core.errors import ArgusError

STRIP, WIDE_STRIP = 1 << 18, 1 << 26
"""Values per step of enlarging maps to the image: few enough for a processor's cache, and on a GPU so many (256 MB)
that few kernels are started."""


@dataclass(frozen=True)
class Plane:
    """Maps (C, h, w) over the whole image at the scale of its passes, averaged where they overlap.

    ``seen`` (h, w) is false where no pass covers the image, for example where a crop cut it.
    """

    values: Tensor
    seen: Tensor
    image_size: tuple[int, int]

    def strips(self) -> Iterator[tuple[slice, Tensor]]:
        """The maps at the image's pixel centres, bilinear, a strip of rows (C, r, w) at a time."""
        height, width = self.image_size
        room = STRIP if self.values.device.type == "cpu" else WIDE_STRIP
        rows = max(1, room // (len(self.values) * width))
        for start in range(0, height, rows):
            part = slice(start, min(start + rows, height))
            yield part, _bilinear(_bilinear(self.values, height, part, dim=1), width, slice(0, width), dim=2)

    def to_image(self) -> Tensor:
        """(C, H, W): the maps at the image's pixel centres."""
        return torch.cat([strip for _, strip in self.strips()], dim=1)

    def seen_in_image(self) -> Tensor:
        """(H, W) bool: which pixels of the image a pass covers."""
        rows, columns = (
            (torch.arange(n, device=self.seen.device) * m // n)
            for n, m in zip(self.image_size, self.seen.shape, strict=True)
        )
        return self.seen[rows][:, columns]


def merge_passes(maps: Sequence[Tensor], stride: int, places: Sequence[Placement]) -> Plane:
    """Merge the maps (C, h, w) of the passes over one image: enlarged to canvas pixels, then averaged.

    ``stride`` is the size of a cell in canvas pixels. Raises ArgusError for passes of different scales.
    """
    first = places[0]
    if any(place.scale != first.scale or place.image_size != first.image_size for place in places):
        raise ArgusError("passes of different scales cannot be laid over each other")
    size = tuple(round(n * s) for n, s in zip(first.image_size, first.scale, strict=True))
    total = maps[0].new_zeros(len(maps[0]), *size)
    count = maps[0].new_zeros(size)
    for values, place in zip(maps, places, strict=True):
        slab, rows, columns = _slab(values, stride, place, size[1])
        total[:, rows, columns] += slab
        count[rows, columns] += 1
    return _extend(total / count.clamp(min=1), count > 0, first.image_size)


def enlarge(maps: Tensor, stride: int, size: tuple[int, int]) -> Tensor:
    """(B, C, h, w) maps of cells of ``stride`` pixels, bilinearly on a canvas of ``size``, which cells may overhang."""
    if stride == 1:
        return maps[..., : size[0], : size[1]]
    whole = [stride * n for n in maps.shape[2:]]
    return F.interpolate(maps, size=whole, mode="bilinear", align_corners=False)[..., : size[0], : size[1]]


def _slab(values: Tensor, stride: int, place: Placement, width: int) -> tuple[Tensor, slice, slice]:
    """The part of the image that a pass covers, not mirrored, and its place on the plane."""
    slab = enlarge(values[None], stride, place.canvas_size)[0][:, : place.extent[0], : place.extent[1]]
    top, left = (round(-o) for o in place.offset)
    rows, columns = slice(top, top + slab.shape[1]), slice(left, left + slab.shape[2])
    if place.mirrored:
        slab, columns = slab.flip(2), slice(width - columns.stop, width - columns.start)
    return slab, rows, columns


def _extend(values: Tensor, seen: Tensor, image_size: tuple[int, int]) -> Plane:
    """Extend the covered part by repeating its border, so that enlarging never mixes in what no pass covers."""
    if not seen.all():
        rows, columns = (torch.nonzero(seen.any(dim=d))[:, 0] for d in (1, 0))
        pads = (int(columns[0]), seen.shape[1] - 1 - int(columns[-1]), int(rows[0]), seen.shape[0] - 1 - int(rows[-1]))
        inner = values[None, :, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        values = F.pad(inner, pads, mode="replicate")[0]
    return Plane(values, seen, image_size)


def _bilinear(values: Tensor, length: int, part: slice, dim: int) -> Tensor:
    """Resize one axis to ``length`` with half-pixel centres, and keep ``part`` of it."""
    n = values.shape[dim]
    place = (torch.arange(part.start, part.stop, device=values.device, dtype=torch.float64) + 0.5) * n / length - 0.5
    place = place.clamp(0, n - 1)
    low = place.floor().long()
    weight = (place - low).to(values.dtype)
    weight = weight[:, None] if dim == 1 else weight
    below, above = values.index_select(dim, low), values.index_select(dim, (low + 1).clamp(max=n - 1))
    return torch.lerp(below, above, weight)
