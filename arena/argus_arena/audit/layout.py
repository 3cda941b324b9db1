"""A map of all images in two dimensions, on which similar ones lie together; the same for the same vectors."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from argus_arena.audit.vectors import find_neighbours

Points = npt.NDArray[np.float64]
NEAREST, EPOCHS, REPELLED = 12, 250, 5
"""Neighbours that attract a point, steps, and points that repel it for each of these."""
PULL = 0.1
"""Attraction of a neighbour as a share of that of UMAP's nearest one: all count alike here."""
STEP = 4.0
"""The longest move along an axis that one pair of points causes."""
SPREAD = 10.0
"""Half the width of the map at the beginning."""


def lay_out(unit: Tensor) -> Points:
    """(N, 2) places from 0 to 1 of vectors (N, C) of length 1.

    They begin at their first two principal components. Neighbours attract and others repel each other, with the
    forces of UMAP (McInnes 2018, with a = b = 1).
    """
    points = _components(unit)
    if len(unit) > 2 * NEAREST:
        points = _arrange(points, find_neighbours(unit, NEAREST).numbers.numpy())
    low, high = points.min(axis=0), points.max(axis=0)
    placed: Points = (points - low) / np.maximum(high - low, 1e-9).max()
    return placed


def _components(unit: Tensor) -> Points:
    """The first two principal components, of which the largest absolute coordinate is positive."""
    x = unit.double() - unit.double().mean(dim=0)
    _, axes = torch.linalg.eigh(x.T @ x)
    found = (x @ axes[:, -2:].flip(1)).numpy()
    if found.shape[1] < 2:
        found = np.pad(found, ((0, 0), (0, 2 - found.shape[1])))
    found = found * np.sign(found[np.abs(found).argmax(axis=0), [0, 1]] + 1e-12)
    points: Points = SPREAD * found / max(np.abs(found).max(), 1e-9)
    return points


def _arrange(points: Points, neighbours: npt.NDArray[np.int64]) -> Points:
    random, count = np.random.default_rng(0), len(points)
    one, other = np.repeat(np.arange(count), neighbours.shape[1]), neighbours.ravel()
    for epoch in range(EPOCHS):
        rate = 1 - epoch / EPOCHS
        apart = points[one] - points[other]
        pull = -2 * PULL * apart / (1 + (apart**2).sum(axis=1, keepdims=True))
        move = _summed(pull, one, count) - _summed(pull, other, count)
        mine = np.repeat(np.arange(count), REPELLED)
        apart = points[mine] - points[random.integers(0, count, len(mine))]
        square = (apart**2).sum(axis=1, keepdims=True)
        push = neighbours.shape[1] * 2 * apart / ((0.001 + square) * (1 + square))
        move += _summed(np.clip(push, -STEP, STEP), mine, count)
        points = points + rate * np.clip(move / neighbours.shape[1], -STEP, STEP)
    return points


def _summed(values: Points, rows: npt.NDArray[np.int64], count: int) -> Points:
    return np.stack([np.bincount(rows, values[:, axis], count) for axis in (0, 1)], axis=1)
