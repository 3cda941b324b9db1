"""What can be solved from sums: moments that stream and merge, the linear discriminant, and ridge regression."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Moments", "discriminant", "ridge"]

PENALTIES = 10.0 ** torch.linspace(2, -6, 17, dtype=torch.float64)
"""Ridge penalties that are tried, largest first, as multiples of the mean eigenvalue of the inputs' scatter."""


@dataclass(frozen=True)
class Moments:
    """Count, mean (d,) and scatter (d, d) about the mean of vectors, float64; ``a + b`` are those of both (Chan 1979).

    Merging is associative and commutative to rounding. Sums about the mean need no pilot shift against cancellation.
    """

    count: int
    mean: Tensor
    scatter: Tensor

    @classmethod
    def none(cls, dim: int) -> Moments:
        """Those of no vectors."""
        return cls(0, torch.zeros(dim, dtype=torch.float64), torch.zeros(dim, dim, dtype=torch.float64))

    @classmethod
    def of(cls, x: Tensor) -> Moments:
        """Those of the rows of (N, d) ``x``."""
        if not len(x):
            return cls.none(x.shape[1])
        x = x.double()
        mean = x.mean(dim=0)
        return cls(len(x), mean.cpu(), ((x - mean).T @ (x - mean)).cpu())

    def __add__(self, other: Moments) -> Moments:
        if not self.count or not other.count:
            return self if self.count else other
        count, step = self.count + other.count, other.mean - self.mean
        between = torch.outer(step, step) * (self.count * other.count / count)
        return Moments(count, self.mean + step * (other.count / count), self.scatter + other.scatter + between)


def discriminant(positive: Moments, negative: Moments, shrinkage: float = 1e-3) -> tuple[Tensor, Tensor]:
    """Weight (d,) and bias of Fisher's linear discriminant, whose sigmoid is the posterior of ``positive``.

    So it is for two Gaussians with one covariance and the counts as priors (Fisher 1936). The pooled covariance is
    lifted by ``shrinkage`` times its mean eigenvalue. Both classes need a vector.
    """
    freedom = max(1, positive.count + negative.count - 2)
    pooled = (positive.scatter + negative.scatter) / freedom
    level = pooled.diagonal().mean().clamp(min=1e-12)  # constant vectors separate nothing
    pooled = pooled + shrinkage * level * torch.eye(len(pooled), dtype=pooled.dtype)
    weight = torch.linalg.solve(pooled, positive.mean - negative.mean)
    prior = torch.tensor(positive.count / negative.count, dtype=pooled.dtype).log()
    return weight, prior - weight @ (positive.mean + negative.mean) / 2


def ridge(moments: Moments, inputs: int, penalty: float | None = None) -> Tensor:
    """(inputs + 1, q) least-squares weights from the moments of [x, y], the intercept last and not penalised.

    ``penalty`` is added to the scatter of the x (Hoerl & Kennard 1970); without one, generalised cross-validation
    chooses it (Golub 1979). Without vectors the weights are zero.
    """
    xx, xy = moments.scatter[:inputs, :inputs], moments.scatter[:inputs, inputs:]
    values, axes = torch.linalg.eigh(xx)
    values, loads = values.clamp(min=0), axes.T @ xy
    if penalty is None:
        penalty = _cross_validated(values, loads, float(moments.scatter.diagonal()[inputs:].sum()), moments.count)
    weights = axes @ (loads / (values + penalty).clamp(min=torch.finfo(values.dtype).tiny)[:, None])
    intercept = moments.mean[inputs:] - moments.mean[:inputs] @ weights
    return torch.cat([weights, intercept[None]])


def _cross_validated(values: Tensor, loads: Tensor, total: float, count: int) -> float:
    """The penalty of least n RSS / (n - df)^2, for eigenvalues (p,), ``loads`` (p, q) and ``total`` scatter of y."""
    penalties = PENALTIES * values.mean()
    raised = values + penalties[:, None]  # (L, p)
    explained = (loads.square().sum(dim=1) * (values + 2 * penalties[:, None]) / raised.square()).sum(dim=1)
    left = count - 1 - (values / raised).sum(dim=1)
    scores = (total - explained).clamp(min=0) / left.square()
    usable = (left > 0) & scores.isfinite()
    return float(penalties[torch.where(usable, scores, torch.inf).argmin()])
