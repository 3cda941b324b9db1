"""Images unlike all others: their vectors hold what those of the others do not, or they are far from all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from argus_arena.audit.vectors import Neighbours, Vectors
from argus_core.nn import Moments

Kind = Literal["nearly uniform", "unlike all others"]
NEAREST = 5
"""Neighbours whose mean distance counts."""
ENERGY = 0.5
"""Share of the variance of the other images that the subspace holds which an image is compared with: of one that held
more, blank images and text of which there are two would be a part."""
FOLDS = 5
FAR, FLAT = 2.5, 2.5
"""Robust standard deviations from which on an image is an outlier, and below which the cells of one vary hardly."""
LEAST = 8
"""Images of which some can be unlike the others."""


@dataclass(frozen=True)
class Outlier:
    """An image by number; ``score`` is how many robust standard deviations it lies from the median of all."""

    number: int
    kind: Kind
    score: float


def find_outliers(vectors: Vectors, neighbours: Neighbours) -> list[Outlier]:
    """The outliers, the farthest first; none of fewer than eight images.

    An image is one by the share of its vector outside the main subspace of the others (as in ViM, Wang 2022), which
    also tells blank ones of which there are several, or by the distance of its nearest neighbours.
    """
    if len(vectors.raw) < LEAST:
        return []
    distance = 1 - neighbours.cosines[:, :NEAREST].mean(dim=1)
    score = torch.maximum(deviations(distance), deviations(beyond(vectors.raw)))
    flat = torch.zeros_like(score) if vectors.spread is None else -deviations(vectors.spread.clamp(min=1e-6).log())
    numbers = (score >= FAR).nonzero()[:, 0]
    return [
        Outlier(number, "nearly uniform" if flat[number] >= FLAT else "unlike all others", float(score[number]))
        for number in numbers[score[numbers].argsort(descending=True, stable=True)].tolist()
    ]


def beyond(raw: Tensor) -> Tensor:
    """(N,) the length of what of each vector (N, C) lies outside the subspace of the others, over its own length.

    The others are four fifths of all, so that no image is among them; every fifth image is of one part.
    """
    parts = torch.arange(len(raw)) % FOLDS
    moments = [Moments.of(raw[parts == part]) for part in range(FOLDS)]
    found = torch.zeros(len(raw))
    for part in range(FOLDS):
        others = [own for number, own in enumerate(moments) if number != part]
        total = sum(others[1:], others[0])
        values, axes = torch.linalg.eigh(total.scatter)
        held = values.clamp(min=0).flip(0).cumsum(0) / values.clamp(min=0).sum().clamp(min=1e-12)
        main = axes.flip(1)[:, : int((held < ENERGY).sum()) + 1].float()
        own = raw[parts == part]
        apart = own - total.mean.float()
        found[parts == part] = (apart - apart @ main @ main.T).norm(dim=1) / own.norm(dim=1).clamp(min=1e-6)
    return found


def deviations(values: Tensor) -> Tensor:
    """How many robust standard deviations, by the median absolute deviation, values (N,) lie from their median.

    Where most values are equal, deviations are measured by rounding, not by zero.
    """
    apart = values - values.median()
    scale = 1.4826 * apart.abs().median()
    return apart / scale.clamp(min=1e-6)
