"""Cosine matching in enlarged feature maps without computing these maps, and peaks between pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from argus_core.errors import ArgusError

Refine = Literal["none", "parabola", "softargmax"]
"""How a match is moved between pixels."""
TEMPERATURE = 0.02
"""For the softmax over cosines in ``soft_argmax``: so small that only the peak itself counts."""
LIMIT = 1 << 20
"""Cosines in memory at once during a search for the best pixel."""
CHANNELS = 64
"""Channels per step of dot products between cells, so that the factors stay in the processor's cache."""
EPS = 1e-12
"""The smallest length to divide a feature by, as in ``torch.nn.functional.normalize``."""


def parabola(values: Tensor, peaks: Tensor, reach: Sequence[int]) -> Tensor:
    """(N, 2) rows and columns, float64: per axis, the top of the parabola through a peak and ``reach`` to either side.

    ``values`` are (N, H, W), ``peaks`` (N, 2) whole rows and columns; a peak moves by at most ``reach``, and along an
    axis not at all if a neighbour is outside.
    """
    rows = torch.arange(len(peaks), device=peaks.device)
    top = values[rows, peaks[:, 0], peaks[:, 1]].double()
    moves = []
    for axis, step in enumerate(reach):
        last, to = values.shape[1 + axis] - 1, step * torch.eye(2, dtype=peaks.dtype, device=peaks.device)[axis]
        inside = (peaks[:, axis] >= step) & (peaks[:, axis] <= last - step)
        before, after = (
            values[rows, spot[:, 0], spot[:, 1]].double()
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
    index = torch.arange(len(peaks), device=peaks.device)[:, None, None]
    spans = [
        peaks[:, axis, None] + torch.arange(-step, step + 1, device=peaks.device) for axis, step in enumerate(reach)
    ]
    known = [(span >= 0) & (span < n) for span, n in zip(spans, values.shape[1:], strict=True)]
    rows, columns = (span.clamp(0, n - 1) for span, n in zip(spans, values.shape[1:], strict=True))
    window = values[index, rows[:, :, None], columns[:, None, :]].double() / TEMPERATURE
    window = window.masked_fill(~(known[0][:, :, None] & known[1][:, None, :]), -torch.inf)
    share = window.flatten(1).softmax(dim=1).view_as(window)
    return torch.stack([(share.sum(2) * rows).sum(1), (share.sum(1) * columns).sum(1)], dim=1)


@dataclass(frozen=True)
class Enlarged:
    """Features (C, h, w) as if enlarged to ``size`` pixels by ``F.interpolate`` (bilinear, half-pixel centres).

    Only the first ``seen`` rows and columns of ``size`` show the image; cells beyond are neither read nor matched.
    Points are continuous x, y in pixels of ``size``: pixel (row, column) has its centre at column + .5, row + .5.
    """

    maps: Tensor
    size: tuple[int, int]
    seen: tuple[int, int]

    def __post_init__(self) -> None:
        if not all(0 < s <= n for s, n in zip(self.seen, self.size, strict=True)):
            raise ArgusError(f"seen {self.seen} is not a part of the enlarged {self.size}")

    def at(self, points: Tensor) -> Tensor:
        """(N, C): the features at points (N, 2); they are constant beyond the centres of the outermost cells."""
        cells = self._cells
        (y, x) = (self._place(points[:, axis].double(), dim) for axis, dim in ((1, 0), (0, 1)))
        top, left = y.floor().long(), x.floor().long()
        below, right = (top + 1).clamp(max=cells.shape[1] - 1), (left + 1).clamp(max=cells.shape[2] - 1)
        down, along = (y - top).to(cells.dtype), (x - left).to(cells.dtype)
        upper = torch.lerp(cells[:, top, left], cells[:, top, right], along)  # (C, N)
        lower = torch.lerp(cells[:, below, left], cells[:, below, right], along)
        return torch.lerp(upper, lower, down).T

    def similarity(self, queries: Tensor) -> Tensor:
        """(N, rows, columns): cosines of features (N, C) with every seen pixel's feature.

        The dot product of an interpolated feature is interpolated too; ``_inverse_length`` is 1 / its length.
        """
        dots = F.normalize(queries, dim=1, eps=EPS) @ self._cells.flatten(1)  # (N, h w)
        rows, columns = (weight.to(dots.dtype) for weight in self._weights)
        small = dots.unflatten(1, self._cells.shape[1:])
        return (rows @ small @ columns.T).mul_(self._inverse_length)

    def nearest(self, queries: Tensor, refine: Refine = "none") -> tuple[Tensor, Tensor]:
        """The most similar seen pixel of each query (N, C): its centre (N, 2), float64, and its cosine (N,).

        ``refine`` moves the point between pixels by the cosines around it: a parabola through those a quarter of a cell
        away, or the soft argmax within half a cell.
        """
        step = max(1, LIMIT // (self.seen[0] * self.seen[1]))
        chunks = [self._peaks(chunk, refine) for chunk in queries.split(step)]
        points, scores = (torch.cat(parts) for parts in zip(*chunks, strict=True))
        return points, scores

    def _peaks(self, queries: Tensor, refine: Refine) -> tuple[Tensor, Tensor]:
        cosines = self.similarity(queries)
        scores, index = cosines.flatten(1).max(dim=1)
        peaks = torch.stack([index // self.seen[1], index % self.seen[1]], dim=1)  # row, column
        cell = [n / cells for n, cells in zip(self.size, self.maps.shape[1:], strict=True)]
        exact = peaks.double()
        if refine == "parabola":
            exact = parabola(cosines, peaks, [max(1, round(n / 4)) for n in cell])
        elif refine == "softargmax":
            exact = soft_argmax(cosines, peaks, [max(1, round(n / 2)) for n in cell])
        return exact.flip(1) + 0.5, scores

    @cached_property
    def _cells(self) -> Tensor:
        """(C, h, w): the cells that show the image."""
        rows, columns = (
            -(-seen * cells // size)
            for seen, cells, size in zip(self.seen, self.maps.shape[1:], self.size, strict=True)
        )
        return self.maps[:, :rows, :columns]

    def _place(self, position: Tensor, dim: int) -> Tensor:
        """Positions on an axis of ``size``, converted to cells: cell ``i`` has its centre at ``i``."""
        cells = position * (self.maps.shape[1 + dim] / self.size[dim]) - 0.5
        return cells.clamp(0, self._cells.shape[1 + dim] - 1)

    @cached_property
    def _weights(self) -> list[Tensor]:
        """Per axis (seen, cells), float64: the share of each cell in each pixel."""
        centres = [torch.arange(n, dtype=torch.float64, device=self.maps.device) + 0.5 for n in self.seen]
        places = [self._place(centre, dim) for dim, centre in enumerate(centres)]
        cells = [torch.arange(n, device=self.maps.device) for n in self._cells.shape[1:]]
        return [(1 - (place[:, None] - cell).abs()).clamp(min=0) for place, cell in zip(places, cells, strict=True)]

    @cached_property
    def _inverse_length(self) -> Tensor:
        """(rows, columns): 1 / length of each enlarged feature, from dot products of each cell with its neighbours.

        Computed in float64, because the lengths of features that nearly cancel are small differences.
        """
        squares, right, below, across = _products(self._cells)
        rows, columns = (weight**2 for weight in self._weights)
        row_pairs, column_pairs = (2 * weight[:, 1:] * weight[:, :-1] for weight in self._weights)
        square = (rows @ squares + row_pairs @ below) @ columns.T
        square += (rows @ right + row_pairs @ (across / 2)) @ column_pairs.T
        return square.clamp_(min=EPS**2).rsqrt_().to(self.maps.dtype)


def _products(cells: Tensor) -> list[Tensor]:
    """Dot products of neighbouring cells, float64: of each cell with itself, with its right and its lower neighbour.

    The fourth (h - 1, w - 1) is the sum of the two diagonal ones between four cells.
    """
    sums: list[Tensor] = []
    for part in cells.split(CHANNELS):
        f = part.double()
        terms = [
            (f * f).sum(dim=0),
            (f[:, :, 1:] * f[:, :, :-1]).sum(dim=0),
            (f[:, 1:] * f[:, :-1]).sum(dim=0),
            (f[:, 1:, 1:] * f[:, :-1, :-1] + f[:, 1:, :-1] * f[:, :-1, 1:]).sum(dim=0),
        ]
        sums = [a + b for a, b in zip(sums, terms, strict=True)] if sums else terms
    return sums
