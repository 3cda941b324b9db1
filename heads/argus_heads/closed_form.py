"""Closed-form solutions from sums over batches: moments, the linear discriminant, and ridge regression."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

PENALTIES = 10.0 ** torch.linspace(2, -6, 17, dtype=torch.float64)
"""Ridge penalties to choose from, largest first, as multiples of the mean eigenvalue of the inputs' scatter."""


@dataclass(frozen=True)
class Moments:
    """Count, mean (d,) and scatter (d, d) about the mean of vectors, float64; ``a + b`` merges two (Chan 1979).

    Merging is associative and commutative up to rounding. Sums about the mean do not cancel, however large it is.
    """

    count: int
    mean: Tensor
    scatter: Tensor

    @classmethod
    def none(cls, dim: int) -> Moments:
        """The moments of no vectors."""
        return cls(0, torch.zeros(dim, dtype=torch.float64), torch.zeros(dim, dim, dtype=torch.float64))

    @classmethod
    def of(cls, x: Tensor) -> Moments:
        """The moments of the rows of ``x`` (N, d)."""
        if not len(x):
            return cls.none(x.shape[1])
        x = x.double()
        mean = x.mean(dim=0)
        return cls(len(x), mean.cpu(), ((x - mean).T @ (x - mean)).cpu())

    def __add__(self, other: Moments) -> Moments:
        if not self.count or not other.count:
            return self if self.count else other
        count, shift = self.count + other.count, other.mean - self.mean
        between = torch.outer(shift, shift) * (self.count * other.count / count)
        return Moments(count, self.mean + shift * (other.count / count), self.scatter + other.scatter + between)


def discriminant(positive: Moments, negative: Moments, shrinkage: float = 1e-3) -> tuple[Tensor, Tensor]:
    """Weight (d,) and bias of Fisher's linear discriminant (Fisher 1936); both classes need a vector.

    For two Gaussians with one covariance and the counts as priors, its sigmoid is the posterior of ``positive``. To
    the pooled covariance, ``shrinkage`` times its mean eigenvalue is added on the diagonal.
    """
    freedom = max(1, positive.count + negative.count - 2)
    pooled = (positive.scatter + negative.scatter) / freedom
    level = pooled.diagonal().mean().clamp(min=1e-12)  # zero for constant vectors
    pooled = pooled + shrinkage * level * torch.eye(len(pooled), dtype=pooled.dtype)
    weight = torch.linalg.solve(pooled, positive.mean - negative.mean)
    prior = torch.tensor(positive.count / negative.count, dtype=pooled.dtype).log()
    return weight, prior - weight @ (positive.mean + negative.mean) / 2


def ridge(moments: Moments, inputs: int, penalty: float | None = None) -> Tensor:
    """(inputs + 1, q) least-squares weights from the moments of [x, y]; the intercept comes last, without penalty.

    ``penalty`` is added to the scatter of the inputs x (Hoerl & Kennard 1970); by default generalised cross-validation
    chooses it (Golub 1979). Without vectors the weights are zero.
    """
    xx, xy = moments.scatter[:inputs, :inputs], moments.scatter[:inputs, inputs:]
    values, axes = torch.linalg.eigh(xx)
    values, loads = values.clamp(min=0), axes.T @ xy
    if penalty is None:
        penalty = _best_penalty(values, loads, float(moments.scatter.diagonal()[inputs:].sum()), moments.count)
    weights = axes @ (loads / (values + penalty).clamp(min=torch.finfo(values.dtype).tiny)[:, None])
    intercept = moments.mean[inputs:] - moments.mean[:inputs] @ weights
    return torch.cat([weights, intercept[None]])


def _best_penalty(values: Tensor, loads: Tensor, total: float, count: int) -> float:
    """The penalty of least n RSS / (n - df)^2, for eigenvalues (p,), ``loads`` (p, q) and ``total`` scatter of y."""
    penalties = PENALTIES * values.mean()
    raised = values + penalties[:, None]  # (L, p)
    explained = (loads.square().sum(dim=1) * (values + 2 * penalties[:, None]) / raised.square()).sum(dim=1)
    freedom = count - 1 - (values / raised).sum(dim=1)
    scores = (total - explained).clamp(min=0) / freedom.square()
    usable = (freedom > 0) & scores.isfinite()
    return float(penalties[torch.where(usable, scores, torch.inf).argmin()])
