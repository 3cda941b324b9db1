"""A teacher's tokens on a common scale, by statistics that are taken once, before training, and then stay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from argus_arena.distill.hadamard import hadamard
from argus_core.nn import Moments

Scheme = Literal["meanstd", "phi_s", "none"]
"""``meanstd``: every coordinate has mean 0 and deviation 1. ``phi_s``: PHI-S (Ranzinger 2024), a rotation after which
all coordinates have the same variance, and one scale. ``none``: as they are."""
CONSTANT = 1e-6
"""A coordinate with less than this share of the largest deviation never varied, and is set to zero."""


@dataclass(frozen=True)
class Spread:
    """Count, mean (d,) and sum of squares about the mean (d,) of vectors, float64; ``a + b`` merges two (Chan 1979)."""

    count: float
    mean: Tensor
    squares: Tensor

    @classmethod
    def none(cls, dim: int) -> Spread:
        """The spread of no vectors."""
        return cls(0, torch.zeros(dim, dtype=torch.float64), torch.zeros(dim, dtype=torch.float64))

    @classmethod
    def of(cls, x: Tensor) -> Spread:
        """The spread of the rows of ``x`` (N, d)."""
        x = x.double()
        mean = x.mean(0)
        return cls(len(x), mean.cpu(), (x - mean).square().sum(0).cpu())

    def __add__(self, other: Spread) -> Spread:
        if not self.count or not other.count:
            return self if self.count else other
        count, shift = self.count + other.count, other.mean - self.mean
        between = shift.square() * (self.count * other.count / count)
        return Spread(count, self.mean + shift * (other.count / count), self.squares + other.squares + between)


Statistics = Spread | Moments


def no_statistics(scheme: Scheme, dim: int) -> Statistics:
    """Statistics of no vectors, of the kind that a scheme needs."""
    return Moments.none(dim) if scheme == "phi_s" else Spread.none(dim)


class Normalizer(nn.Module):
    """Vectors (..., C) shifted and scaled as a scheme says; until ``freeze`` they are returned as they are.

    What it learned are buffers, so that a resumed run has the same ones. Raises ArgusError for ``phi_s`` where no
    Hadamard matrix of order C is known.
    """

    shift: Tensor
    factor: Tensor

    def __init__(self, scheme: Scheme, dim: int) -> None:
        super().__init__()
        self.scheme = scheme
        self.register_buffer("shift", torch.zeros(dim))
        if scheme == "phi_s":
            hadamard(dim)  # tells at once if there is none
        self.register_buffer("factor", torch.eye(dim) if scheme == "phi_s" else torch.ones(dim))

    def freeze(self, statistics: Statistics) -> None:
        """Take the statistics that count from now on."""
        if self.scheme != "none":
            self.shift.copy_(statistics.mean)
            self.factor.copy_(_turn(statistics) if isinstance(statistics, Moments) else _scale(statistics))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (..., C)."""
        apart = x - self.shift
        return apart @ self.factor if self.factor.ndim == 2 else apart * self.factor


def _scale(spread: Spread) -> Tensor:
    """(C,) one over the standard deviation, and zero for coordinates that never varied."""
    deviation = (spread.squares / max(spread.count, 1)).sqrt()
    varied = deviation > CONSTANT * deviation.max()
    return torch.where(varied, 1 / deviation.clamp(min=torch.finfo(torch.float64).tiny), 0.0)


def _turn(moments: Moments) -> Tensor:
    """(C, C) onto the axes of most variance, from these by a Hadamard matrix, so that variances are alike, then one."""
    values, axes = torch.linalg.eigh(moments.scatter / max(moments.count, 1))
    variance = values.clamp(min=0).mean()
    return (axes @ hadamard(len(values)).T) / variance.clamp(min=torch.finfo(torch.float64).tiny).sqrt()
