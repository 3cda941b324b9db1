"""What a difference between heads is worth: the errors of mean scores, from samples and from seeds, and tests of pairs.

The error from samples is that of a paired bootstrap: the same resamples for all heads. The error from seeds is added by
its variance, not by resampling: three seeds drawn with replacement show two thirds of their variance. Seeds that differ
only in which samples they get right are counted by the bootstrap already; this part is taken off.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

Array = npt.NDArray[np.float64]
LEVEL = 0.95
"""The share of intervals that hold the true score, and of rankings without a false difference."""
POWER = 0.8
"""The share of data sets of this size in which the smallest difference is shown."""


@dataclass(frozen=True)
class Scored:
    """An entry: its score with each seed, (seeds,), and over resamples of the samples, (seeds, resamples)."""

    scores: Array
    resampled: Array

    @property
    def mean(self) -> float:
        """The mean over seeds."""
        return float(self.scores.mean())

    @property
    def freedom(self) -> int:
        """Degrees of freedom of the variance over seeds."""
        return len(self.scores) - 1


@dataclass(frozen=True)
class Seeds:
    """The variance that the choice of seeds adds to an entry's mean, and the degrees of freedom behind it."""

    added: float
    variance: float
    freedom: float


@dataclass(frozen=True)
class Pair:
    """The difference of two entries, its standard error, its degrees of freedom, and the p-value of no difference."""

    difference: float
    error: float
    freedom: float
    p: float

    def smallest(self, alpha: float) -> float:
        """The difference that is shown at level ``alpha`` with ``POWER``."""
        return (_quantile(self.freedom, 1 - alpha / 2) + _quantile(self.freedom, POWER)) * self.error


def seed_parts(entries: Sequence[Scored], samples: int) -> list[Seeds]:
    """What seeds add to each entry's mean; nothing for one of a single seed, and for seeds that change nothing.

    The variance of a few seeds is often far too small by chance: it counts as no less than the mean over the entries.
    """
    variances = [float(entry.scores.var(ddof=1)) if entry.freedom else 0.0 for entry in entries]
    mean, freedom = _mean_variance([(v, entry.freedom) for v, entry in zip(variances, entries, strict=True) if v])
    parts = []
    for entry, own in zip(entries, variances, strict=True):
        seeds, variance = len(entry.scores), max(own, mean)
        if not own:
            parts.append(Seeds(0.0, 0.0, 1.0))
            continue
        apart = entry.resampled - entry.resampled.mean(axis=0)
        counted = float(apart.var(axis=1).sum()) / entry.freedom * _inflation(samples)
        added = max(0.0, variance - counted) / seeds
        parts.append(Seeds(added, variance / seeds, max(freedom, float(entry.freedom))))
    return parts


def _mean_variance(variances: Sequence[tuple[float, int]]) -> tuple[float, float]:
    """The mean of variances by their degrees of freedom, and its own ones as of Satterthwaite (1946)."""
    if not variances:
        return 0.0, 1.0
    values, freedoms = np.array(variances, dtype=np.float64).T
    sums = values * freedoms
    return float(sums.sum() / freedoms.sum()), float(sums.sum() ** 2 / (sums**2 / freedoms).sum())


def compare(first: Scored, second: Scored, seeds: tuple[Seeds, Seeds], samples: int) -> Pair:
    """The difference of two entries' means, tested by t with the degrees of freedom of Satterthwaite (1946).

    No p-value is below ``least_p``.
    """
    difference = first.mean - second.mean
    apart = first.resampled.mean(axis=0) - second.resampled.mean(axis=0)
    images = float(apart.var()) * _inflation(samples)
    variance = images + sum(part.added for part in seeds)
    moving = [part for part in seeds if part.variance] or [Seeds(0.0, 0.0, 1.0)]
    total = sum(part.variance for part in moving)  # not independent of each other, as both may be the mean
    uncertain = images**2 / (samples - 1) + total**2 / min(part.freedom for part in moving)
    freedom = variance**2 / uncertain if uncertain else samples - 1.0
    freedom = max(freedom, 1.0)
    error = math.sqrt(variance)
    p = 2 * float(special.stdtr(freedom, -abs(difference) / error)) if error else float(difference == 0)
    return Pair(difference, error, freedom, min(1.0, max(p, least_p(samples))))


def least_p(samples: int) -> float:
    """The smallest p-value that a comparison on so many samples may have: that of a sign test."""
    return float(2.0 ** (1 - samples))


def interval(entry: Scored, seeds: Seeds) -> tuple[float, float]:
    """The interval of an entry's mean at ``LEVEL``: percentiles over samples, widened by the error from seeds.

    The two are joined by the squares of their distances from the mean, as in Zou and Donner (2008), "Construction of
    confidence limits about effect measures: a general approach".
    """
    tails = (1 - LEVEL) / 2
    low, high = np.quantile(entry.resampled.mean(axis=0), [tails, 1 - tails])
    width = _quantile(seeds.freedom, 1 - tails) * math.sqrt(seeds.added)
    mean = entry.mean
    return mean - math.hypot(max(0.0, mean - low), width), mean + math.hypot(max(0.0, high - mean), width)


def holm(values: Sequence[float], alpha: float = 1 - LEVEL) -> list[bool]:
    """Which hypotheses are refused so that with probability ``1 - alpha`` none is refused falsely: Holm (1979)."""
    refused = [False] * len(values)
    for place, number in enumerate(sorted(range(len(values)), key=lambda number: values[number])):
        if values[number] > alpha / (len(values) - place):
            break
        refused[number] = True
    return refused


def _quantile(freedom: float, share: float) -> float:
    """A quantile of Student's t."""
    return float(special.stdtrit(freedom, share))


def _inflation(samples: int) -> float:
    """Of a bootstrap's variance, which is that of samples divided by their number instead of one less."""
    return samples / (samples - 1)
