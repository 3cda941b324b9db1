"""The plain definition of dense maps in image pixels: everything enlarged at once, in float64."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from argus_core.canvas import Placement


def plain_image(maps: Sequence[Tensor], stride: int, places: Sequence[Placement]) -> Tensor:
    """(C, H, W): passes (C, h, w) enlarged to the canvas, laid over each other, averaged, enlarged to the image."""
    place = places[0]
    size = [round(n * s) for n, s in zip(place.image_size, place.scale, strict=True)]
    total, count = torch.zeros(len(maps[0]), *size, dtype=torch.float64), torch.zeros(1, *size, dtype=torch.float64)
    for values, place in zip(maps, places, strict=True):
        canvas = larger(values, [stride * n for n in values.shape[1:]])[:, : place.extent[0], : place.extent[1]]
        top, left = (round(-o) for o in place.offset)
        if place.mirrored:
            canvas, left = canvas.flip(2), size[1] - left - canvas.shape[2]
        part = (slice(None), slice(top, top + canvas.shape[1]), slice(left, left + canvas.shape[2]))
        total[part] += canvas
        count[part] += 1
    rows, columns = (count[0].sum(axis).nonzero()[:, 0] for axis in (1, 0))
    sides = [int(columns[0]), size[1] - 1 - int(columns[-1]), int(rows[0]), size[0] - 1 - int(rows[-1])]
    mean = (total / count.clamp(min=1))[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return larger(F.pad(mean[None], sides, mode="replicate")[0], places[0].image_size)


def larger(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Maps (C, h, w) at the pixel centres of another size, bilinear, float64."""
    return F.interpolate(maps[None].double(), size=list(size), mode="bilinear", align_corners=False)[0]
