"""Cells of a grid that hold the centre of a box, and cells that lie in no box."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from argus_core.detection.geometry import centres, covers, grid_points

__all__ = ["centre_cells", "uncovered"]


def centre_cells(boxes: Sequence[Tensor], extent: Tensor, stride: int) -> tuple[Tensor, Tensor, Tensor]:
    """Image, row and column of the cell that holds each centre of (G_i, 4) boxes, for images of ``extent`` (B, 2)."""
    image = torch.cat([torch.full((len(of),), n, device=of.device) for n, of in enumerate(boxes)])
    last = (extent[image] - 1) // stride  # a centre on the far edge belongs to the last cell
    x, y = torch.minimum(centres(torch.cat(list(boxes))) // stride, last.flip(1)).long().T
    return image, y, x


def uncovered(boxes: Sequence[Tensor], grid: tuple[int, int], stride: int) -> Tensor:
    """(B, h, w) bool: cells whose centre lies outside all (G_i, 4) boxes of their image."""
    xy = grid_points([grid], [stride], boxes[0].device).xy
    covered = [covers(of, xy).any(dim=0) for of in boxes]
    return ~torch.stack(covered).unflatten(1, grid)
