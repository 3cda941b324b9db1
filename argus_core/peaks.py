"""Where a peak lies between the pixels, by what is around it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["parabola", "soft_argmax"]

TEMPERATURE = 0.02
"""Of the softmax over cosines in ``soft_argmax``: small enough that only the peak itself counts."""


def parabola(values: Tensor, peaks: Tensor, reach: Sequence[int]) -> Tensor:
    """(N, 2) rows and columns, float64: per axis, the top of the parabola through a peak and ``reach`` to either side.

    ``values`` are (N, H, W), ``peaks`` (N, 2) whole rows and columns; at most ``reach`` is moved, and along an axis
    not at all if its neighbour lies outside.
    """
    each = torch.arange(len(peaks), device=peaks.device)
    top = values[each, peaks[:, 0], peaks[:, 1]].double()
    moves = []
    for axis, step in enumerate(reach):
        last, to = values.shape[1 + axis] - 1, step * torch.eye(2, dtype=peaks.dtype, device=peaks.device)[axis]
        inside = (peaks[:, axis] >= step) & (peaks[:, axis] <= last - step)
        before, after = (
            values[each, spot[:, 0], spot[:, 1]].double()
            for spot in (torch.where(inside[:, None], peaks + sign * to, peaks) for sign in (-1, 1))
        )
        bend = 2 * top - before - after
        move = 0.5 * step * (after - before) / bend.clamp(min=1e-12)
        moves.append(torch.where(bend > 1e-12, move, torch.zeros_like(move)).clamp(-step, step))
    return peaks + torch.stack(moves, dim=1)


def soft_argmax(values: Tensor, peaks: Tensor, reach: Sequence[int]) -> Tensor:
    """(N, 2) rows and columns, float64: the mean position around a peak, weighted by softmax(value / .02).

    ``values`` are (N, H, W), ``peaks`` (N, 2) whole rows and columns; the mean is over ``reach`` to either side.
    """
    each = torch.arange(len(peaks), device=peaks.device)[:, None, None]
    spans = [
        peaks[:, axis, None] + torch.arange(-step, step + 1, device=peaks.device) for axis, step in enumerate(reach)
    ]
    known = [(span >= 0) & (span < n) for span, n in zip(spans, values.shape[1:], strict=True)]
    rows, columns = (span.clamp(0, n - 1) for span, n in zip(spans, values.shape[1:], strict=True))
    window = values[each, rows[:, :, None], columns[:, None, :]].double() / TEMPERATURE
    window = window.masked_fill(~(known[0][:, :, None] & known[1][:, None, :]), -torch.inf)
    share = window.flatten(1).softmax(dim=1).view_as(window)
    return torch.stack([(share.sum(2) * rows).sum(1), (share.sum(1) * columns).sum(1)], dim=1)
