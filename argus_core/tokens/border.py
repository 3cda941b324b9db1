"""Maps whose padding repeats the image's border, so that enlarging them never mixes padding in."""

from __future__ import annotations

import torch
from torch import Tensor


def repeat_border(maps: Tensor, stride: int, extent: Tensor) -> Tensor:
    """(B, C, h, w) maps of cells of ``stride`` canvas pixels, padding replaced by the last row and column with image.

    ``extent`` (B, 2) is where the images end, in canvas pixels. A bilinear resize then gives inside the image what
    it gives without any padding.
    """
    for dim in (2, 3):
        last = (extent[:, dim - 2] - 1).div(stride, rounding_mode="floor").clamp(min=0)
        cells = torch.arange(maps.shape[dim], device=maps.device).minimum(last[:, None])  # (B, h or w)
        index = cells[:, None, :, None] if dim == 2 else cells[:, None, None, :]
        maps = maps.gather(dim, index.expand_as(maps))
    return maps
