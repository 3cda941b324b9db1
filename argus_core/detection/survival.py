"""Rays that run on until cost has used them up."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def survival(cost: Tensor) -> Tensor:
    """(B, 4, h, w) cells that a ray from each cell runs to the left, top, right and bottom, beside the cell itself.

    ``S = sum_m exp(-(cost of the first m cells on the way))``, so that free cells count 1 up to the border and a
    cell of high cost ends the ray. ``cost`` has the same shape and order and is not negative.
    """
    left, top, right, bottom = cost.unbind(1)
    runs = _run(left), _run(top.mT).mT, _run(right.flip(-1)).flip(-1), _run(bottom.mT.flip(-1)).flip(-1).mT
    return torch.stack(runs, dim=1)


def _run(cost: Tensor) -> Tensor:
    """To the left: ``S(x) = exp(-cost(x - 1)) * (1 + S(x - 1))`` for all x at once."""
    spent = F.pad(cost.cumsum(-1), (1, 0))  # of all cells before x
    return F.pad((spent[..., :-1].logcumsumexp(-1) - spent[..., 1:]).exp(), (1, 0))[..., :-1]
