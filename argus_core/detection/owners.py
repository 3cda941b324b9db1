"""The object that a cell belongs to, and a loss for neighbours that belong to the same object."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import box_area

from argus_core.detection.assign import BACKGROUND, IGNORE
from argus_core.detection.geometry import Points, covers
from argus_core.nn import batch_total


def smallest_box(points: Points, boxes: Tensor) -> Tensor:
    """An assigner: (N,) index of the smallest of (G, 4) boxes around each point, or ``BACKGROUND``."""
    area, index = torch.where(covers(boxes, points.xy).T, box_area(boxes), torch.inf).min(dim=1)
    return torch.where(area.isfinite(), index, BACKGROUND)


def bond_loss(logits: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Binary cross entropy of ``logits`` (...) that both ends of an edge have the same owner, per edge at an object.

    ``first`` and ``second`` (...) are the owners at both ends; two ends in the background have no common owner.
    """
    used = (first != IGNORE) & (second != IGNORE)
    goal = ((first == second) & (first >= 0)).to(logits.dtype)
    touching = (used & ((first >= 0) | (second >= 0))).sum()
    return F.binary_cross_entropy_with_logits(logits[used], goal[used], reduction="sum") / batch_total(touching)
