"""Cells glued to their neighbours: values that spread along bonds, and the pieces that bonds hold together."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function


def laplacian(x: Tensor, right: Tensor, down: Tensor) -> Tensor:
    """(B, C, h, w): each cell's differences to its neighbours, weighted by their bonds and added up.

    ``right`` (B, h, w - 1) bonds cells with the next in their row, ``down`` (B, h - 1, w) with the next below.
    """
    dx, dy = right[:, None] * x.diff(dim=3), down[:, None] * x.diff(dim=2)
    return F.pad(dx, (1, 0)) - F.pad(dx, (0, 1)) + F.pad(dy, (0, 0, 1, 0)) - F.pad(dy, (0, 0, 0, 1))


def solve(x: Tensor, right: Tensor, down: Tensor, strength: float, steps: int) -> Tensor:
    """Approximate y with ``y + strength * laplacian(y) = x`` by ``steps`` of Chebyshev iteration; bonds are 0 to 1.

    The error falls as fast as conjugate gradients promise (0.70 a step at a ``strength`` of 4), but coefficients are
    fixed instead of inner products over the map: what no bonds connect never touches, at any number of steps.
    """
    middle, half = 1 + 4 * strength, 4 * strength  # eigenvalues lie in 1 .. 1 + 8 * strength
    y, rest = x, -strength * laplacian(x, right, down)
    step, ratio = rest / middle, half / middle
    for _ in range(steps):
        y = y + step
        rest = rest - step - strength * laplacian(step, right, down)
        last, ratio = ratio, 1 / (2 * middle / half - ratio)
        step = ratio * last * step + 2 * ratio / half * rest
    return y


class _Diffusion(Function):
    """``solve`` with the gradient of the exact solution, itself one ``solve``: no step needs to be kept."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, right: Tensor, down: Tensor, strength: float, steps: int) -> Tensor:
        y = solve(x, right, down, strength, steps)
        ctx.save_for_backward(y, right, down)
        ctx.settings = strength, steps
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        (y, right, down), (strength, steps) = ctx.saved_tensors, ctx.settings
        pull = solve(gradients[0], right, down, strength, steps)
        bonds = (-strength * (pull.diff(dim=axis) * y.diff(dim=axis)).sum(dim=1) for axis in (3, 2))
        return pull, *bonds, None, None


def diffuse(x: Tensor, right: Tensor, down: Tensor, strength: float = 4.0, steps: int = 20) -> Tensor:
    """(B, C, h, w) values drawn towards each other by bonds 0 to 1, differentiable once in all three.

    The sum over cells that bonds connect stays; with all bonds 0 nothing changes.
    """
    if torch.is_grad_enabled():
        return _Diffusion.apply(x, right, down, strength, steps)
    return solve(x, right, down, strength, steps)


def bonded(right: Tensor, down: Tensor) -> Tensor:
    """(2, E) cell indices at both ends of the bonds that hold: those to the right, then those below, row by row."""
    cell = torch.arange(len(right) * down.shape[1], device=right.device).view(len(right), down.shape[1])
    starts = torch.cat([cell[:, :-1][right], cell[:-1][down]])
    ends = torch.cat([cell[:, 1:][right], cell[1:][down]])
    return torch.stack([starts, ends])


def pieces(ends: Tensor, cells: int) -> Tensor:
    """(cells,) the lowest index among the cells that each is connected to by the bonds with ``ends`` (2, E)."""
    lowest = torch.arange(cells, device=ends.device)
    while True:
        reached = torch.minimum(*lowest[ends]).repeat(2)
        lower = lowest.scatter_reduce(0, lowest[ends].flatten(), reached, "amin")
        lower = lower[lower]
        if torch.equal(lower, lowest):
            return lowest
        lowest = lower


def assembled(boxes: Tensor, parts: Tensor, right: Tensor, down: Tensor, kept: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(M, 4) boxes, (M, K) mean logits and (M,) mean bonds of the M pieces among the ``kept`` (N,) cells.

    ``boxes`` (N, 4) and ``parts`` (N, K) are the cells' own; bonds (h, w - 1) and (h - 1, w) are 0 where broken. A
    cell's box counts by its bonds; a piece of one cell has nothing to break, and its bond is 1.
    """
    held = (right > 0, down > 0)
    bonds = torch.cat([right[held[0]], down[held[1]]])
    ends = bonded(*held)
    degree = torch.zeros_like(boxes[:, 0]).index_add(0, ends.flatten(), bonds.repeat(2))
    count = torch.zeros_like(degree).index_add(0, ends.flatten(), torch.ones_like(bonds).repeat(2))
    _, member = pieces(ends, len(boxes))[kept].unique(return_inverse=True)
    size = int(member.max()) + 1 if len(member) else 0
    weight = torch.where(degree > 0, degree, 1)[kept]
    share = (torch.arange(size, device=member.device)[:, None] == member).to(boxes.dtype)  # (M, cells)
    box = (share * weight) @ boxes[kept] / (share @ weight)[:, None]
    mean = share @ parts[kept] / share.sum(dim=1, keepdim=True)
    bond = (share @ degree[kept]) / (share @ count[kept]).clamp(min=1)
    return box, mean, torch.where(bond > 0, bond, 1)
