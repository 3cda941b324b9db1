"""Percentage of correct keypoints (Yang 2013), as semantic correspondence uses it (Ham 2016; Min 2019)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from argus_core.errors import ArgusError
from argus_core.tasks.base import Metric

if TYPE_CHECKING:
    from argus_core.tasks.correspond.descriptors import Described
    from argus_core.tasks.correspond.values import Matches


ALPHAS = (0.05, 0.1, 0.15)
"""Thresholds that are always reported."""
Pair = dict[str, Any]


class PCKMetric(Metric):
    """The share of points found within ``alpha`` times the longer side of the target's object or image, in 0..1.

    Distances are between pixels of the original target image. ``average`` ``pair`` is the mean of the pairs' shares,
    ``point`` the share of all points. A pair without points does not count; a point without a match is wrong.
    ``category/NAME`` is the primary score of one category. Where matches were followed back, ``mutual`` is the share
    of points whose match led back, and ``mutual/PCK`` the primary score of these alone.
    """

    def __init__(self, alpha: float, threshold: Literal["box", "image"], average: Literal["point", "pair"]) -> None:
        if not 0 < alpha < math.inf:
            raise ArgusError(f"alpha={alpha} must be above 0, such as 0.1")
        self.alpha, self.threshold, self.average = alpha, threshold, average
        self.primary = f"PCK@{alpha:g}"
        self.protocol = f"pck{'' if alpha == 0.1 else f'@{alpha:g}'}-{threshold}-{average}-1"
        self._pairs: dict[str, Pair] = {}

    def update(self, key: str, prediction: tuple[Described, Described], truth: Matches) -> None:
        """Match the points of one pair and keep their distances as shares of the reference length."""
        if key in self._pairs:
            raise ArgusError(f"pair {key!r} is counted twice; give each pair once")
        source, target = prediction
        found = source.match(target, truth.source)
        errors = np.linalg.norm(found.points - truth.target, axis=1) / self._length(key, target, truth)
        self._pairs[key] = {
            "errors": np.where(np.isnan(errors), math.inf, errors).tolist(),
            "mutual": None if found.mutual is None else found.mutual.tolist(),
            "category": truth.category,
        }

    def compute(self) -> dict[str, float]:
        """The primary score first, then the usual thresholds, categories and mutual matches; nan without points."""
        pairs = [self._pairs[key] for key in sorted(self._pairs)]
        scores = {f"PCK@{alpha:g}": self._score(pairs, alpha) for alpha in dict.fromkeys((self.alpha, *ALPHAS))}
        if pairs and all(pair["mutual"] is not None for pair in pairs):
            scores["mutual"] = _mean([flag for pair in pairs for flag in pair["mutual"]])
            scores["mutual/PCK"] = self._score([_mutual(pair) for pair in pairs], self.alpha)
        for name in sorted({pair["category"] for pair in pairs} - {""}):
            own = [pair for pair in pairs if pair["category"] == name]
            scores[f"category/{name}"] = self._score(own, self.alpha)
        return scores

    def state(self) -> dict[str, Pair]:
        """Per pair its relative distances, which of its matches are mutual, and its category."""
        return dict(self._pairs)

    def merge(self, states: Sequence[dict[str, Pair]]) -> None:
        """Replace what was added by the union of ``states``; a pair in two of them raises ArgusError."""
        pairs: dict[str, Pair] = {}
        for state in states:
            twice = sorted(state.keys() & pairs.keys())
            if twice:
                raise ArgusError(f"pairs {twice[:3]} are counted twice; split the data set without overlap")
            pairs |= state
        self._pairs = pairs

    def _length(self, key: str, target: Described, truth: Matches) -> float:
        """The longer side of the target's box or image, in image pixels."""
        if self.threshold == "image":
            if target.place is None:
                raise ArgusError(f"pair {key!r}: the target's size is not known; use task.to_image first")
            return max(target.place.image_size)
        if truth.box is None:
            raise ArgusError(f"pair {key!r} has no box around the target's object; score with threshold=image")
        return max(truth.box[2] - truth.box[0], truth.box[3] - truth.box[1])

    def _score(self, pairs: Sequence[Pair], alpha: float) -> float:
        right = [np.asarray(pair["errors"]) <= alpha for pair in pairs if pair["errors"]]
        return _mean([one.mean() for one in right] if self.average == "pair" else [x for one in right for x in one])


def _mutual(pair: Pair) -> Pair:
    """The mutual matches of a pair."""
    return {**pair, "errors": [error for error, kept in zip(pair["errors"], pair["mutual"], strict=True) if kept]}


def _mean(values: Sequence[float] | Sequence[npt.NDArray[Any]]) -> float:
    return float(np.mean(values)) if len(values) else math.nan
