"""Which images are worth annotating next: those that stand for many others of which a head is not sure."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from argus_core.errors import ArgusError

MOST = 4096
"""Images that are compared with each other; of more, as many are taken at even distances."""
Numbers = npt.NDArray[np.floating[Any]]


def suggest(scores: npt.ArrayLike, embeddings: npt.ArrayLike, count: int, known: npt.ArrayLike = ()) -> list[int]:
    """The numbers of ``count`` images, or of all if there are fewer, the most instructive one first.

    ``scores`` (N,) tell how uncertain a head is of each image, 0 or more; ``embeddings`` (N, C) are vectors of the
    images, ``known`` (M, C) of those that are annotated. Each next image is the one that raises the similarity of the
    uncertain ones to their nearest annotated or chosen image the most (facility location, Nemhauser 1978): outliers
    and near-duplicates gain little. Raises ArgusError for arrays that do not fit together.
    """
    doubts, vectors, others = _checked(scores, embeddings, known)
    count = min(count, len(vectors))
    looked = min(len(vectors), max(MOST, count))
    places = np.linspace(0, len(vectors) - 1, looked).round().astype(int)
    numbers: list[int] = places[_cover(_weights(doubts[places]), vectors[places], count, others)].tolist()
    return numbers


def _cover(weights: Numbers, vectors: Numbers, count: int, known: Numbers) -> list[int]:
    """The rows that, one after the other, are most similar to those which no earlier one is similar to."""
    similar = vectors @ vectors.T
    nearest = (vectors @ known.T).max(axis=1) if len(known) else np.full(len(vectors), -1.0, dtype=vectors.dtype)
    free = np.ones(len(vectors), dtype=bool)
    chosen: list[int] = []
    for _ in range(count):
        gains = weights @ np.maximum(similar - nearest[:, None], 0)
        chosen.append(int(np.where(free, gains, -1.0).argmax()))
        free[chosen[-1]] = False
        nearest = np.maximum(nearest, similar[:, chosen[-1]])
    return chosen


def _weights(doubts: Numbers) -> Numbers:
    """Doubts about their mean, so that where a head is sure of nearly everything no few images decide."""
    return doubts + (doubts.mean() or 1.0)


def _checked(
    scores: npt.ArrayLike, embeddings: npt.ArrayLike, known: npt.ArrayLike
) -> tuple[Numbers, Numbers, Numbers]:
    """The arrays in float32, vectors of length 1."""
    doubts, vectors = np.asarray(scores, dtype=np.float32), np.asarray(embeddings, dtype=np.float32)
    if vectors.ndim != 2 or doubts.shape != vectors.shape[:1] or not len(doubts):
        raise ArgusError(f"scores {doubts.shape} and embeddings {vectors.shape} are not (N,) and (N, C), N 1 or more")
    others = np.asarray(known, dtype=np.float32).reshape(-1, vectors.shape[1])
    if not all(np.isfinite(values).all() for values in (doubts, vectors, others)) or doubts.min() < 0:
        raise ArgusError("scores and embeddings are finite numbers, and scores 0 or more")
    return doubts, _unit(vectors), _unit(others)


def _unit(vectors: Numbers) -> Numbers:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True).clip(1e-12)
