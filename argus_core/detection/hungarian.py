"""The cheapest one-to-one matching of answers and objects."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

WORST = 1e6
"""Cost of a pair whose true cost is not a number; a diverged head is stopped for its loss, not by the matcher."""


Pairs = tuple[Tensor, Tensor]


def assignments(costs: Sequence[Tensor], taking_part: Sequence[Tensor] = ()) -> list[Pairs]:
    """For each (Q, G) cost the rows and columns of the cheapest one-to-one matching of as many pairs as there can be.

    ``taking_part`` (Q, G) bool, by default all, leaves out the rows and columns where it holds nowhere.
    """
    flat = torch.cat([cost.flatten() for cost in costs]).nan_to_num(WORST, WORST, -WORST)
    if taking_part:
        flat = torch.where(torch.cat([mask.flatten() for mask in taking_part]), flat, torch.inf)
    # One transfer for the batch and all layers, and one back.
    values = flat.cpu().split([cost.numel() for cost in costs])
    found = [_solved(part.view(cost.shape)) for part, cost in zip(values, costs, strict=True)]
    there = torch.cat(found, dim=1).to(costs[0].device)
    return [(rows, columns) for rows, columns in there.split([pairs.shape[1] for pairs in found], dim=1)]


def _solved(cost: Tensor) -> Tensor:
    """(2, P) rows and columns of the pairs."""
    used = cost.isfinite()
    rows, columns = (used.any(dim=axis).nonzero()[:, 0] for axis in (1, 0))
    pairs = _solver()(cost[rows][:, columns].numpy())
    return torch.stack([side[torch.from_numpy(index)] for side, index in zip((rows, columns), pairs, strict=True)])


@cache
def _solver() -> Callable[..., Any]:
    with warnings.catch_warnings():  # scipy adds filters of its own when it is imported
        from scipy.optimize import linear_sum_assignment
    return linear_sum_assignment
