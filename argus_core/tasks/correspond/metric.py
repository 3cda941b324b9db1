"""Percentage of correct keypoints (Yang 2013), as semantic correspondence uses it (Ham 2016; Min 2019)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from argus_core.errors import ArgusError
from argus_core.tasks.contributions import Contributions, Rescore, item_owners, shares
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

    def contributions(self) -> Contributions:
        """``errors`` and ``mutual`` of the points of every pair, ``points`` of it, and its category as UTF-8."""
        pairs = self.records()
        names = [pair["category"].encode() for pair in pairs]
        flags = [pair["mutual"] or [False] * len(pair["errors"]) for pair in pairs]
        arrays = {
            "errors": np.array([error for pair in pairs for error in pair["errors"]], dtype=np.float64),
            "mutual": np.array([flag for own in flags for flag in own], dtype=bool),
            "points": np.array([len(pair["errors"]) for pair in pairs], dtype=np.int32),
            "both_ways": np.array([pair["mutual"] is not None for pair in pairs], dtype=bool),
            "category": np.frombuffer(b"".join(names), dtype=np.uint8),
            "letters": np.array([len(name) for name in names], dtype=np.int32),
        }
        return Contributions(self.keys(), arrays)

    def rescore(self, kept: Contributions, score: str) -> Rescore | None:
        """Any of the scores."""
        pairs, owners = len(kept), item_owners(kept.arrays["points"])
        start, _, name = score.partition("/")
        alphas = {f"PCK@{alpha:g}": alpha for alpha in (self.alpha, *ALPHAS)}
        scored, right = np.ones(len(owners), dtype=bool), kept.arrays["errors"] <= alphas.get(score, self.alpha)
        if start == "mutual" and kept.arrays["both_ways"].all():
            if not name:  # a share of points, whatever the average
                return shares(np.bincount(owners, kept.arrays["mutual"], pairs), kept.arrays["points"])
            scored = kept.arrays["mutual"]
        elif start == "category":
            scored = np.array([category == name for category in _categories(kept)], dtype=bool)[owners]
        elif score not in alphas:
            return None
        hits, points = np.bincount(owners, right & scored, pairs), np.bincount(owners, scored, pairs)
        if self.average == "point":
            return shares(hits, points)
        return shares(hits / np.maximum(points, 1), points > 0)

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


def _categories(kept: Contributions) -> list[str]:
    """The category of every pair."""
    text, ends = kept.arrays["category"].tobytes(), np.cumsum(kept.arrays["letters"]).tolist()
    return [text[start:end].decode() for start, end in zip([0, *ends], ends, strict=False)]


def _mutual(pair: Pair) -> Pair:
    """The mutual matches of a pair."""
    return {**pair, "errors": [error for error, kept in zip(pair["errors"], pair["mutual"], strict=True) if kept]}


def _mean(values: Sequence[float] | Sequence[npt.NDArray[Any]]) -> float:
    return float(np.mean(values)) if len(values) else math.nan
