"""Closed-form solutions from sums over batches: moments, linear discriminants, and ridge regression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Rule = Literal["ridge", "lda"]
"""How classes are told apart: regressions on their indicators, or discriminants of Gaussians of one covariance."""

PENALTIES = 10.0 ** torch.linspace(2, -6, 17, dtype=torch.float64)
"""Ridge penalties to choose from, largest first, as multiples of the mean eigenvalue above zero of the scatter."""
ROUNDING = 1e-12
"""Eigenvalues below this share of the largest, and deviations below this share of the mean, are rounding."""
SHARPNESS = 9.0
"""Logit of a class that the regression is sure of; on four data sets it made confidences those of the hit rates."""
CELL_PENALTY = 0.1
"""Least penalty for cells, as a multiple of the mean scatter along a direction in which they vary.

Cross-validation takes them for independent, and those of one image are not: of five images it let the regression follow
every peculiarity of theirs.
"""
ABSENT = -30.0
"""Logit of a class that has no samples, from the mean of the others."""


@dataclass(frozen=True)
class Moments:
    """Count, mean (d,) and scatter (d, d) about the mean of vectors, float64; ``a + b`` merges two (Chan 1979).

    Merging is associative and commutative up to rounding. Sums about the mean do not cancel, however large it is. Of
    weighted vectors ``count`` is the sum of the weights, and ``squares`` that of their squares.
    """

    count: float
    mean: Tensor
    scatter: Tensor
    squares: float

    @classmethod
    def none(cls, dim: int) -> Moments:
        """The moments of no vectors."""
        return cls(0, torch.zeros(dim, dtype=torch.float64), torch.zeros(dim, dim, dtype=torch.float64), 0)

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
        return cls(count, mean.cpu(), ((apart * weight[:, None]).T @ apart).cpu(), float(weight.square().sum()))

    def __add__(self, other: Moments) -> Moments:
        if not self.count or not other.count:
            return self if self.count else other
        count, shift = self.count + other.count, other.mean - self.mean
        mean = self.mean + shift * (other.count / count)
        between = torch.outer(shift, shift) * (self.count * other.count / count)
        return Moments(count, mean, self.scatter + other.scatter + between, self.squares + other.squares)

    def __getitem__(self, items: slice) -> Moments:
        """The moments of some coordinates."""
        return Moments(self.count, self.mean[items], self.scatter[items, items], self.squares)

    @property
    def vectors(self) -> float:
        """How many vectors of one weight say as much (Kish 1965); without weights all of them."""
        return self.count**2 / self.squares if self.squares else 0.0


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
    it. Where the inputs do not vary, as without vectors, the weights are zero.
    """
    spectrum = _Spectrum.of(moments, inputs)
    return _with_intercept(moments, spectrum.weights(spectrum.best_penalty() if penalty is None else penalty))


def find_penalty(moments: Moments, inputs: int, least: float = 0.0) -> float:
    """The penalty of ``ridge`` that generalised cross-validation chooses (Golub 1979), one for all outputs.

    It is at least ``least`` times the mean scatter of a direction in which the inputs vary: see ``CELL_PENALTY``.
    """
    return _Spectrum.of(moments, inputs).best_penalty(least)


def residual_variance(moments: Moments, inputs: int, weights: Tensor) -> Tensor:
    """(q,) mean square of what ``weights`` (inputs + 1, q) of ``ridge`` leave unexplained of each output."""
    xx, xy = moments.scatter[:inputs, :inputs], moments.scatter[:inputs, inputs:]
    w = weights[:-1]
    left = moments.scatter.diagonal()[inputs:] - (w * (2 * xy - xx @ w)).sum(dim=0)
    return left.clamp(min=0) / max(moments.count, 1e-12)


def class_logits(moments: Moments, inputs: int, rule: Rule, least: float = 0.0) -> Tensor:
    """(inputs + 1, K) weights of linear logits from the moments of [x, indicators of K classes]; biases come last.

    Indicators may be shares that add up to 1. By ``ridge`` a logit is 9 times the regression of the indicator, and
    softmax about as often right as it is sure; by ``lda`` softmax is the posterior of Gaussians, too sure where x are
    none, as cells are. A class without samples never has the largest logit. The penalty is that of ``find_penalty``,
    at most the mean scatter of a direction.
    """
    counts = (moments.count * moments.mean[inputs:]).clamp(min=0)
    spectrum = _Spectrum.of(moments, inputs)
    # Leaving out the only sample of a class tells nothing, and cross-validation then chooses the largest penalty.
    penalty = min(spectrum.best_penalty(least), spectrum.level)
    weights = spectrum.weights(penalty)
    if rule == "ridge":
        logits = SHARPNESS * _with_intercept(moments, weights)
    else:
        freedom = float(spectrum.freedom(torch.tensor([penalty])))
        logits = _discriminants(moments, weights, counts, freedom / max(moments.vectors, 1))
    return _below_others(logits, counts <= 0)


def _with_intercept(moments: Moments, weights: Tensor) -> Tensor:
    inputs = len(weights)
    return torch.cat([weights, (moments.mean[inputs:] - moments.mean[:inputs] @ weights)[None]])


def _discriminants(moments: Moments, weights: Tensor, counts: Tensor, freedom: float) -> Tensor:
    """Fisher's discriminants of K classes, with ``counts`` as priors, from the ridge ``weights`` of their indicators.

    The scatter within classes is that of all vectors less that of the means: by Woodbury's identity both
    regressions and discriminants come from one inverse. ``freedom`` is the residuals' share of the vectors.
    """
    seen, inputs = counts > 0, len(weights)
    apart = moments.scatter[:inputs, inputs:][:, seen]  # means of the classes from that of all, times counts
    between = torch.diag(counts[seen]) - apart.T @ weights[:, seen]
    own = max(freedom, 0.0) * moments.count * torch.linalg.solve(between, weights[:, seen].T).T
    prior = (counts[seen] / max(moments.count, 1e-12)).log()
    bias = prior - moments.mean[:inputs] @ own - (apart * own).sum(dim=0) / (2 * counts[seen])
    logits = weights.new_zeros(inputs + 1, len(counts))
    logits[:, seen] = torch.cat([own, bias[None]])
    return logits


def _below_others(weights: Tensor, absent: Tensor) -> Tensor:
    """The same logits; those of ``absent`` classes (K,) 30 below the mean of the others, thus never the largest."""
    others = weights[:, ~absent].mean(dim=1) if not absent.all() else torch.zeros_like(weights[:, 0])
    others[-1] += ABSENT
    return torch.where(absent, others[:, None], weights)


@dataclass(frozen=True)
class _Spectrum:
    """The directions (p, r) in which inputs vary, their scatter (r,) and the outputs' loads (r, q) on them.

    ``count`` is that of the vectors and ``total`` the scatter of all outputs.
    """

    axes: Tensor
    values: Tensor
    loads: Tensor
    count: float
    total: Tensor

    @classmethod
    def of(cls, moments: Moments, inputs: int) -> _Spectrum:
        values, axes = torch.linalg.eigh(moments.scatter[:inputs, :inputs])
        noise = moments.count * (ROUNDING * moments.mean[:inputs]).square().sum()
        varies = values > torch.maximum(ROUNDING * values[-1], noise)
        axes = axes[:, varies]
        loads = axes.T @ moments.scatter[:inputs, inputs:]
        return cls(axes, values[varies], loads, moments.vectors, moments.scatter.diagonal()[inputs:].sum())

    @property
    def level(self) -> float:
        """The mean scatter of the directions that ``count`` vectors can vary in."""
        return float(self.values.sum()) / max(1.0, min(len(self.axes), self.count - 1))

    def weights(self, penalty: float) -> Tensor:
        """(p, q) least-squares weights."""
        return self.axes @ (self.loads / (self.values + penalty)[:, None])

    def freedom(self, penalties: Tensor) -> Tensor:
        """(L,) degrees of freedom that are left to the residuals."""
        return self.count - 1 - len(self.values) + self._shrinkage(penalties).sum(dim=1)

    def best_penalty(self, least: float = 0.0) -> float:
        """The penalty of least n RSS / (n - df)^2, or ``least`` levels."""
        penalties = PENALTIES * self.level
        power = self.loads.square().sum(dim=1) / self.values
        unexplained = self.total - power.sum()
        unexplained = torch.where(unexplained > ROUNDING * self.total, unexplained, 0)  # of as many vectors as inputs
        residuals = unexplained + (power * self._shrinkage(penalties).square()).sum(dim=1)
        freedom = self.freedom(penalties)
        scores = torch.where(freedom > 0, residuals / freedom.square(), torch.inf)
        return max(float(penalties[scores.argmin()]), least * self.level)

    def _shrinkage(self, penalties: Tensor) -> Tensor:
        """(L, r) shares of the loads that are not explained."""
        return penalties[:, None] / (self.values + penalties[:, None])
