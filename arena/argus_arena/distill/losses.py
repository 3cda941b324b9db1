"""How far a student's tokens are from a teacher's, and the grid on which patches are compared."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch.nn.functional as F
from torch import Tensor

Grid = tuple[int, int]
GridRule = Literal["smaller", "teacher"]
"""Patches meet on the smaller of both grids, or always on the teacher's."""


class Answer(NamedTuple):
    """What a network says of a batch: CLS (B, C), and patches (B, C, h, w); None for what is not asked for."""

    cls: Tensor | None
    patches: Tensor | None


def cls_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """One minus the cosine similarity of vectors (..., C), averaged; 0 to 2."""
    return (1 - F.cosine_similarity(predicted, target, dim=-1)).mean()


def patch_loss(predicted: Tensor, target: Tensor, cosine: float = 0.9, smooth: float = 0.1) -> Tensor:
    """``cosine`` times ``cls_loss`` and ``smooth`` times smooth-L1 of vectors (..., C)."""
    return cosine * cls_loss(predicted, target) + smooth * F.smooth_l1_loss(predicted, target)


def common_grid(student: Grid, teacher: Grid, rule: GridRule) -> Grid:
    """The grid on which patches are compared: with ``smaller`` the one of fewer cells, the teacher's if equal."""
    if rule == "smaller" and student[0] * student[1] < teacher[0] * teacher[1]:
        return student
    return teacher


def to_grid(patches: Tensor, grid: Grid) -> Tensor:
    """Patches (B, C, h, w) on another grid, bicubically, with antialiasing where it has fewer cells."""
    if patches.shape[-2:] == grid:
        return patches
    return F.interpolate(patches, grid, mode="bicubic", align_corners=False, antialias=True)


def as_vectors(patches: Tensor) -> Tensor:
    """Patches (B, C, h, w) as (B, h * w, C)."""
    return patches.flatten(2).transpose(1, 2)
