"""Padding that repeats the image's border, so that enlarging a map never mixes padding in."""

from __future__ import annotations

import torch
from torch import Tensor


def repeat_border(maps: Tensor, stride: int, extent: Tensor) -> Tensor:
    """Replace the padding of (B, C, h, w) maps of ``stride`` px by the last row and column that hold image.

    ``extent`` (B, 2) is where the images end, in canvas pixels. Resized bilinearly, the inside of the image is then
    the same as without padding.
    """
    for dim in (2, 3):
        last = (extent[:, dim - 2] - 1).div(stride, rounding_mode="floor").clamp(min=0)
        cells = torch.arange(maps.shape[dim], device=maps.device).minimum(last[:, None])  # (B, h or w)
        index = cells[:, None, :, None] if dim == 2 else cells[:, None, None, :]
        maps = maps.gather(dim, index.expand_as(maps))
    return maps
