"""Percentage of correct keypoints (Yang 2013), as semantic correspondence uses it (Ham 2016; Min 2019)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from argus_core.errors import ArgusError
from argus_core.tasks.correspond.descriptors import Described
from argus_core.tasks.correspond.values import Matches
from argus_core.tasks.metric import RecordMetric

ALPHAS = (0.05, 0.1, 0.15)
"""Thresholds that are always reported."""
Pair = dict[str, Any]
"""Relative errors of points, which of their matches are mutual (None if unknown), and the category."""
Threshold = Literal["box", "image"]
Average = Literal["point", "pair"]


class PCKMetric(RecordMetric[Pair]):
    """The share of points found within ``alpha`` times the longer side of the target's object or image, in 0..1.

    Distances are between pixels of the original target image. ``average`` ``pair`` is the mean of the pairs' shares,
    ``point`` the share of all points. A pair without points does not count; a point without a match is wrong.
    ``category/NAME`` is the primary score of one category. With matching in both directions, ``mutual`` is the share
    of points whose match leads back, and ``mutual/PCK`` the primary score of these alone.
    """

    noun: ClassVar[str] = "pair"

    def __init__(self, alpha: float, threshold: Threshold, average: Average) -> None:
        if not 0 < alpha < math.inf:
            raise ArgusError(f"alpha={alpha} must be above 0, such as 0.1")
        super().__init__()
        self.alpha, self.threshold, self.average = alpha, threshold, average
        self.primary = f"PCK@{alpha:g}"
        self.protocol = f"pck{'' if alpha == 0.1 else f'@{alpha:g}'}-{threshold}-{average}-1"

    def update(self, key: str, prediction: tuple[Described, Described], truth: Matches) -> None:
        """Match the points of one pair and keep their distances as shares of the reference length."""
        source, target = prediction
        matches = source.match(target, truth.source)
        errors = np.linalg.norm(matches.points - truth.target, axis=1) / self._length(key, target, truth)
        record = {
            "errors": np.where(np.isnan(errors), math.inf, errors).tolist(),
            "mutual": None if matches.mutual is None else matches.mutual.tolist(),
            "category": truth.category,
        }
        self.add(key, record)

    def compute(self) -> dict[str, float]:
        """The primary score first, then the usual thresholds, categories and mutual matches; nan without points."""
        pairs = self.records()
        scores = {f"PCK@{alpha:g}": self._score(pairs, alpha) for alpha in dict.fromkeys((self.alpha, *ALPHAS))}
        if pairs and all(pair["mutual"] is not None for pair in pairs):
            scores["mutual"] = _mean([flag for pair in pairs for flag in pair["mutual"]])
            scores["mutual/PCK"] = self._score([_mutual(pair) for pair in pairs], self.alpha)
        for name in sorted({pair["category"] for pair in pairs} - {""}):
            own = [pair for pair in pairs if pair["category"] == name]
            scores[f"category/{name}"] = self._score(own, self.alpha)
        return scores

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
        return _mean([flags.mean() for flags in right] if self.average == "pair" else list(itertools.chain(*right)))


def _mutual(pair: Pair) -> Pair:
    """The mutual matches of a pair."""
    return {**pair, "errors": [error for error, kept in zip(pair["errors"], pair["mutual"], strict=True) if kept]}


def _mean(values: Sequence[float] | Sequence[npt.NDArray[Any]]) -> float:
    return float(np.mean(values)) if len(values) else math.nan
