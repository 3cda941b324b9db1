"""Which object a cell belongs to, and which neighbours belong together."""

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


def bond_loss(logits: Tensor, one: Tensor, other: Tensor) -> Tensor:
    """Binary cross entropy of ``logits`` (...) against having one owner, per edge that touches an object.

    ``one`` and ``other`` (...) are the owners at both ends; background belongs to nothing, not even to itself.
    """
    used = (one != IGNORE) & (other != IGNORE)
    goal = ((one == other) & (one >= 0)).to(logits.dtype)
    touching = (used & ((one >= 0) | (other >= 0))).sum()
    return F.binary_cross_entropy_with_logits(logits[used], goal[used], reduction="sum") / batch_total(touching)
