"""What one split shows and another does not: images far from the nearest one of the other split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from argus_arena.audit.labels import Ints
from argus_arena.audit.outliers import LEAST
from argus_arena.audit.vectors import find_neighbours
from argus_core.nn import nearest

QUANTILE = 0.99
"""Distance that so large a share of the images of a split have from the nearest other one at most; beyond it nothing
of that split is near."""

SMALL = 0.05


@dataclass(frozen=True)
class Coverage:
    """How well the images of one split, by number of the part, cover those ``of`` another.

    ``far`` are the numbers of images that they do not cover, the farthest first, with their ``distances`` (1 minus the
    cosine) and the ``regions`` that they lie in, from 0, the largest first. ``threshold`` is the distance from which
    on an image is not covered; ``typical`` the median distance of the covered split from itself, ``median`` from the
    other.
    """

    of: int
    by: int
    far: list[int]
    distances: list[float]
    regions: list[int]
    threshold: float
    typical: float
    median: float


def find_coverage(unit: Tensor, parts: Ints) -> list[Coverage]:
    """Of every part by the first, and of the first by every other; only parts of eight images or more.

    A part of less than a twentieth of the first one is not asked to cover it.
    """
    large = [part for part in np.unique(parts).tolist() if (parts == part).sum() >= LEAST]
    if not large:
        return []
    first, *others = large
    enough = (parts == first).sum() * SMALL
    ways = [way for other in others for way in ((other, first), (first, other)) if (parts == way[1]).sum() >= enough]
    return [_covered(unit, parts, *way) for way in ways]


def _covered(unit: Tensor, parts: Ints, of: int, by: int) -> Coverage:
    own, bank = np.flatnonzero(parts == of), np.flatnonzero(parts == by)
    usual = 1 - find_neighbours(unit[bank], 1).cosines[:, 0]
    distance = 1 - nearest(unit[own], unit[bank], 1)[0][:, 0]
    threshold = float(np.quantile(usual.numpy(), QUANTILE))
    order = distance.argsort(descending=True, stable=True)
    far = order[distance[order] > threshold]
    numbers: list[int] = own[far.numpy()].tolist()
    regions = _regions(unit[numbers], threshold)
    values = distance[far].tolist()
    return Coverage(of, by, numbers, values, regions, threshold, float(usual.median()), float(distance.median()))


def _regions(unit: Tensor, threshold: float) -> list[int]:
    """Groups of images that reach each other by steps to near ones, numbered from the largest."""
    if not len(unit):
        return []
    found = find_neighbours(unit, 5)
    near = (1 - found.cosines) <= threshold
    rows = torch.arange(len(unit))[:, None].expand_as(found.numbers)[near].numpy()
    graph = coo_matrix((np.ones(len(rows)), (rows, found.numbers[near].numpy())), shape=(len(unit), len(unit)))
    labels: npt.NDArray[np.int64] = connected_components(graph, directed=False)[1]
    return _by_size(labels.tolist())


def _by_size(labels: Sequence[int]) -> list[int]:
    counts = np.bincount(labels)
    order = {int(label): rank for rank, label in enumerate(np.argsort(-counts, kind="stable"))}
    return [order[label] for label in labels]
