"""Accuracy of a classification: top-1, top-5, mean over classes, and per class."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from argus_core.errors import ArgusError
from argus_core.tasks.classify.values import Classes
from argus_core.tasks.contributions import Contributions, Counts, Rescore, Scores, mean_defined, ratio, shares
from argus_core.tasks.metric import RecordMetric

TOP = 5


class Accuracy(RecordMetric[list[int]]):
    """Shares of images in 0..1: ``top1`` and ``top5`` over all images, ``mean_class`` the mean of the classes' top-1.

    ``class/NAME`` is the accuracy of one class. Of equal scores the lower class index ranks first. Classes without
    images are left out of the mean, their own accuracy is nan; so is everything without images.
    """

    primary = "top1"
    protocol: str = "accuracy-1"

    def __init__(self, classes: Sequence[str]) -> None:
        super().__init__()
        self.classes = tuple(classes)

    def update(self, key: str, prediction: Classes, truth: int) -> None:
        """Add one image's scores and class index; raises ArgusError for scores that cannot be ranked."""
        scores = prediction.scores
        if scores.shape != (len(self.classes),) or not scores.isfinite().all():
            raise ArgusError(f"the scores of image {key!r} are not {len(self.classes)} finite numbers")
        if not 0 <= truth < len(self.classes):
            raise ArgusError(f"label {truth} of image {key!r} is not the index of one of {len(self.classes)} classes")
        rank = (scores > scores[truth]).sum() + (scores[:truth] == scores[truth]).sum()
        self.add(key, [int(truth), int(rank)])

    def compute(self) -> dict[str, float]:
        """All accuracies."""
        labels, ranks = np.array(self.records(), dtype=np.int64).reshape(-1, 2).T
        images = np.bincount(labels, minlength=len(self.classes))
        right = np.bincount(labels[ranks < 1], minlength=len(self.classes))
        per_class = [hits / n if n else math.nan for hits, n in zip(right.tolist(), images.tolist(), strict=True)]
        defined = [value for value in per_class if not math.isnan(value)]
        return {
            "top1": _mean(ranks < 1),
            "top5": _mean(ranks < TOP),
            "mean_class": _mean(np.array(defined)),
            **{f"class/{name}": value for name, value in zip(self.classes, per_class, strict=True)},
        }

    def contributions(self) -> Contributions:
        """``label`` of every image, and the ``rank`` of its true class from 0."""
        labels, ranks = np.array(self.records(), dtype=np.int32).reshape(-1, 2).T
        return Contributions(self.keys(), {"label": labels.copy(), "rank": ranks.copy()})

    def rescore(self, kept: Contributions, score: str) -> Rescore | None:
        """Any of the accuracies."""
        labels, right = kept.arrays["label"], kept.arrays["rank"] < 1
        if score in ("top1", "top5"):
            return shares(right if score == "top1" else kept.arrays["rank"] < TOP, np.ones(len(kept)))
        if score == "mean_class":
            return self._mean_class(labels, right)
        start, _, name = score.partition("/")
        if start != "class" or name not in self.classes:
            return None
        own = labels == self.classes.index(name)
        return shares(right & own, own)

    def _mean_class(self, labels: npt.NDArray[Any], right: npt.NDArray[Any]) -> Rescore:
        of_class = np.eye(len(self.classes))[labels]  # (images, classes)

        def rescore(counts: Counts) -> Scores:
            weights = counts.astype(np.float64)
            return mean_defined(ratio(weights @ (of_class * right[:, None]), weights @ of_class))

        return rescore


def _mean(values: npt.NDArray[Any]) -> float:
    return float(values.mean()) if len(values) else math.nan
