"""Means of a map over boxes: ROI align with an exact integral in the place of samples."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

LEAST = 1e-4
"""Cells that a box is widened to on each side of its middle: one without area gives the map at its place."""


def region_means(maps: Tensor, boxes: Tensor, stride: int, extent: Tensor) -> Tensor:
    """(B, N, C): the mean of each map (B, C, h, w) of ``stride`` px over its boxes (B, N, 4), x1, y1, x2, y2 canvas px.

    The map is taken as bilinear between the centres of its cells, as in ROI align (He 2017), and as constant beyond
    the outermost centres of cells that hold image. Such cells end at ``extent`` (B, 2: height, width in canvas px), so
    padding has no influence. The integral is exact and costs a product of (N, h w) with (h w, C) per image.
    """
    y = cell_shares(boxes[..., 1::2], maps.shape[2], stride, extent[:, 0])  # (B, N, h)
    x = cell_shares(boxes[..., 0::2], maps.shape[3], stride, extent[:, 1])  # (B, N, w)
    weights = (y[..., :, None] * x[..., None, :]).flatten(2)  # (B, N, h w)
    return weights.to(maps) @ maps.flatten(2).transpose(1, 2)


def cell_shares(sides: Tensor, cells: int, stride: int, end: Tensor) -> Tensor:
    """(B, N, cells), float64: the share of each cell of an axis in the mean between both ``sides`` (B, N, 2), in px.

    ``end`` (B,) is where the image ends on that axis.
    """
    low, high = (sides.double() / stride - 0.5).unbind(-1)  # the centre of cell i is i
    middle, half = (low + high) / 2, ((high - low) / 2).clamp(min=LEAST)
    low, high = (middle - half)[..., None], (middle + half)[..., None]
    cell = torch.arange(cells, device=sides.device)
    # What lies in a cell or before it is a ramp that falls from 1 at its centre to 0 at the next one.
    share = (_below_ramp(cell + 1 - low) - _below_ramp(cell + 1 - high)) / (high - low)
    last = (end.to(sides.device) - 1).div(stride, rounding_mode="floor")
    share = torch.where(cell >= last[:, None, None], 1.0, share)
    return share - F.pad(share[..., :-1], (1, 0))


def _below_ramp(x: Tensor) -> Tensor:
    """The integral up to ``x`` of a ramp that rises from 0 at 0 to 1 at 1 and stays there."""
    return x.clamp(0, 1).square() / 2 + (x - 1).clamp(min=0)
