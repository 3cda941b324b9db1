"""Arithmetic in which plus is minimum and times is plus: products, and shortest paths along rows and columns.

Values are exact; where gradients are wanted they are those of a soft minimum ``-T log sum exp(-v / T)``, because a
minimum's own reaches one term only and most terms would never learn.
"""

from __future__ import annotations

import torch
from torch import Tensor

ROWS = 8
"""Rows of the matrix that are handled at once: no tensor of all products is ever held."""


def min_plus(x: Tensor, matrix: Tensor, temperature: float) -> Tensor:
    """(B, I, h, w) ``min_j(matrix_ij + x_j)`` of (B, J, h, w) maps and an (I, J) matrix, float32.

    Gradients need rows of ``matrix`` that span less than 60 temperatures: beyond, they underflow to none.
    """
    with torch.no_grad():
        parts = [(x[:, None] + rows[:, :, None, None]).amin(dim=2) for rows in matrix.split(ROWS)]
        exact = torch.cat(parts, dim=1)
    return _with_gradient(exact, _soft_min_plus(x, matrix, temperature)) if torch.is_grad_enabled() else exact


def _soft_min_plus(x: Tensor, matrix: Tensor, temperature: float) -> Tensor:
    # exp turns sums into products: the soft minimum of all pairs is one ordinary matrix product.
    least_x = x.detach().amin(dim=1, keepdim=True)  # (B, 1, h, w)
    least = matrix.detach().amin(dim=1, keepdim=True)  # (I, 1)
    shares = torch.einsum("ij,bjhw->bihw", ((least - matrix) / temperature).exp(), ((least_x - x) / temperature).exp())
    return least_x + least[:, :, None] - temperature * shares.clamp(min=1e-30).log()


def path(cost: Tensor, dim: int, temperature: float) -> Tensor:
    """``min_{k >= 0} (k + cost(i - k))`` along ``dim``: steps back to a cell and its cost, for the best cell.

    A distance transform in one direction (Felzenszwalb & Huttenlocher 2012), in linear time.
    """
    place = torch.arange(cost.shape[dim], device=cost.device, dtype=cost.dtype)
    place = place.view([-1 if axis == dim % cost.ndim else 1 for axis in range(cost.ndim)])
    exact = (cost.detach() - place).cummin(dim).values + place
    if not torch.is_grad_enabled():
        return exact
    return _with_gradient(exact, place - temperature * ((place - cost) / temperature).logcumsumexp(dim))


def rays(cost: Tensor, temperature: float) -> Tensor:
    """(B, 4, h, w) ``path`` of every cell to the left, top, right and bottom; ``cost`` has the same shape and order."""
    left, top, right, bottom = cost.unbind(1)
    ways = (
        path(left, -1, temperature),
        path(top, -2, temperature),
        path(right.flip(-1), -1, temperature).flip(-1),
        path(bottom.flip(-2), -2, temperature).flip(-2),
    )
    return torch.stack(ways, dim=1)


def _with_gradient(exact: Tensor, soft: Tensor) -> Tensor:
    """The value of one, the gradient of the other."""
    return exact + (soft - soft.detach())
