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


def assignments(costs: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]]:
    """For each (Q, G) cost the rows and columns of the cheapest one-to-one matching of min(Q, G) pairs."""
    device = costs[0].device
    # One transfer for the batch and all layers.
    flat = torch.cat([cost.flatten() for cost in costs]).nan_to_num(WORST, WORST, -WORST).cpu()
    found = []
    for cost, values in zip(costs, flat.split([cost.numel() for cost in costs]), strict=True):
        rows, columns = _solver()(values.view(cost.shape).numpy())
        found.append((torch.from_numpy(rows).to(device), torch.from_numpy(columns).to(device)))
    return found


@cache
def _solver() -> Callable[..., Any]:
    with warnings.catch_warnings():  # scipy adds filters of its own when it is imported
        from scipy.optimize import linear_sum_assignment
    return linear_sum_assignment
