"""Closed-form solutions from sums over batches: moments, linear discriminants, and ridge regression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Rule = Literal["ridge", "lda"]
"""How classes are told apart: regressions on their indicators, or discriminants of Gaussians of one covariance."""

PENALTIES = 10.0 ** torch.linspace(2, -6, 17, dtype=torch.float64)
"""Ridge penalties to choose from, largest first, as multiples of the mean eigenvalue of the inputs' scatter."""
ABSENT = -30.0
"""Logit of a class that has no samples, from the mean of the others."""
ROUNDING = 1e-10
"""Deviations below this share of the mean are rounding, not information."""


@dataclass(frozen=True)
class Moments:
    """Count, mean (d,) and scatter (d, d) about the mean of vectors, float64; ``a + b`` merges two (Chan 1979).

    Merging is associative and commutative up to rounding. Sums about the mean do not cancel, however large it is. Of
    weighted vectors ``count`` is the sum of the weights.
    """

    count: float
    mean: Tensor
    scatter: Tensor

    @classmethod
    def none(cls, dim: int) -> Moments:
        """The moments of no vectors."""
        return cls(0, torch.zeros(dim, dtype=torch.float64), torch.zeros(dim, dim, dtype=torch.float64))

    @classmethod
    def of(cls, x: Tensor, weight: Tensor | None = None) -> Moments:
        """The moments of the rows of ``x`` (N, d), of which each counts ``weight`` (N,) times, by default once."""
        x = x.double()
        weight = x.new_ones(len(x)) if weight is None else weight.double()
        count = float(weight.sum())
        if not count:
            return cls.none(x.shape[1])
        mean = weight @ x / count
        apart = x - mean
        return cls(count, mean.cpu(), ((apart * weight[:, None]).T @ apart).cpu())

    def __add__(self, other: Moments) -> Moments:
        if not self.count or not other.count:
            return self if self.count else other
        count, shift = self.count + other.count, other.mean - self.mean
        between = torch.outer(shift, shift) * (self.count * other.count / count)
        return Moments(count, self.mean + shift * (other.count / count), self.scatter + other.scatter + between)

    def __getitem__(self, items: slice) -> Moments:
        """The moments of some coordinates."""
        return Moments(self.count, self.mean[items], self.scatter[items, items])


def discriminant(positive: Moments, negative: Moments, shrinkage: float = 1e-3) -> tuple[Tensor, Tensor]:
    """Weight (d,) and bias of Fisher's linear discriminant (Fisher 1936); both classes need a vector.

    For two Gaussians with one covariance and the counts as priors, its sigmoid is the posterior of ``positive``. To
    the pooled covariance, ``shrinkage`` times its mean eigenvalue is added on the diagonal.
    """
    freedom = max(1.0, positive.count + negative.count - 2)
    pooled = (positive.scatter + negative.scatter) / freedom
    level = pooled.diagonal().mean().clamp(min=1e-12)  # zero for constant vectors
    pooled = pooled + shrinkage * level * torch.eye(len(pooled), dtype=pooled.dtype)
    weight = torch.linalg.solve(pooled, positive.mean - negative.mean)
    prior = torch.tensor(positive.count / negative.count, dtype=pooled.dtype).log()
    return weight, prior - weight @ (positive.mean + negative.mean) / 2


def ridge(moments: Moments, inputs: int, penalty: float | None = None) -> Tensor:
    """(inputs + 1, q) least-squares weights from the moments of [x, y]; the intercept comes last, without penalty.

    ``penalty`` is added to the scatter of the inputs x (Hoerl & Kennard 1970); by default ``find_penalty`` chooses
    it. Without vectors the weights are zero.
    """
    values, axes, loads = _spectrum(moments, inputs)
    penalty = _best_penalty(moments, values, loads) if penalty is None else penalty
    weights = axes @ (loads / (values + penalty).clamp(min=torch.finfo(values.dtype).tiny)[:, None])
    intercept = moments.mean[inputs:] - moments.mean[:inputs] @ weights
    return torch.cat([weights, intercept[None]])


def find_penalty(moments: Moments, inputs: int) -> float:
    """The penalty of ``ridge`` that generalised cross-validation chooses (Golub 1979), one for all outputs."""
    values, _, loads = _spectrum(moments, inputs)
    return _best_penalty(moments, values, loads)


def residual_variance(moments: Moments, inputs: int, weights: Tensor) -> Tensor:
    """(q,) mean square of what ``weights`` (inputs + 1, q) of ``ridge`` leave unexplained of each output."""
    xx, xy = moments.scatter[:inputs, :inputs], moments.scatter[:inputs, inputs:]
    w = weights[:-1]
    left = moments.scatter.diagonal()[inputs:] - (w * (2 * xy - xx @ w)).sum(dim=0)
    return left.clamp(min=0) / max(moments.count, 1)


def class_logits(moments: Moments, inputs: int, rule: Rule) -> Tensor:
    """(inputs + 1, K) weights of linear logits from the moments of [x, indicators of K classes]; biases come last.

    Indicators may be shares. By ``ridge`` a logit is the regression of the indicator over the mean residual variance:
    the log-likelihood of the class if residuals are Gaussian and alike. A class without samples is never the largest.
    """
    counts = (moments.count * moments.mean[inputs:]).clamp(min=0)
    if rule == "lda":
        weights = _discriminants(moments, inputs, counts)
    else:
        weights = ridge(moments, inputs)
        weights = weights / residual_variance(moments, inputs, weights).mean().clamp(min=1e-6)
    return _below_others(weights, counts <= 0)


def _below_others(weights: Tensor, absent: Tensor) -> Tensor:
    """The same logits; those of ``absent`` classes (K,) 30 below the mean of the others, thus never the largest."""
    others = weights[:, ~absent].mean(dim=1) if not absent.all() else torch.zeros_like(weights[:, 0])
    others[-1] += ABSENT
    return torch.where(absent, others[:, None], weights)


def _discriminants(moments: Moments, inputs: int, counts: Tensor) -> Tensor:
    """Fisher's discriminants of K classes with counts as priors; the ridge penalty is added to the scatter within."""
    xx, xy = moments.scatter[:inputs, :inputs], moments.scatter[:inputs, inputs:]
    apart = xy / counts.clamp(min=1e-9)  # the means of the classes, from that of all
    penalty = find_penalty(moments, inputs) * torch.eye(inputs, dtype=xx.dtype)
    within = (xx - (apart * counts) @ apart.T + penalty) / max(1.0, moments.count - len(counts))
    weights = torch.linalg.solve(within, apart)
    prior = (counts / max(moments.count, 1e-9)).clamp(min=1e-12).log()
    bias = prior - moments.mean[:inputs] @ weights - (apart * weights).sum(dim=0) / 2
    return torch.cat([weights, bias[None]])


def _spectrum(moments: Moments, inputs: int) -> tuple[Tensor, Tensor, Tensor]:
    """Eigenvalues (p,) and axes (p, p) of the inputs' scatter, and the outputs' loads (p, q) on the axes."""
    values, axes = torch.linalg.eigh(moments.scatter[:inputs, :inputs])
    return values.clamp(min=0), axes, axes.T @ moments.scatter[:inputs, inputs:]


def _best_penalty(moments: Moments, values: Tensor, loads: Tensor) -> float:
    """The penalty of least n RSS / (n - df)^2, for the eigenvalues (p,) and ``loads`` (p, q) of ``_spectrum``."""
    rounding = moments.count * float((ROUNDING * moments.mean[: len(values)]).square().mean())
    penalties = PENALTIES * max(float(values.mean()), rounding, 1e-12)
    raised = values + penalties[:, None]  # (L, p)
    total = moments.scatter.diagonal()[len(values) :].sum()
    explained = (loads.square().sum(dim=1) * (values + 2 * penalties[:, None]) / raised.square()).sum(dim=1)
    freedom = moments.count - 1 - (values / raised).sum(dim=1)
    scores = (total - explained).clamp(min=0) / freedom.square()
    usable = (freedom > 0) & scores.isfinite()
    return float(penalties[torch.where(usable, scores, torch.inf).argmin()])
