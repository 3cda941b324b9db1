"""Accuracy of a classification: top-1, top-5, mean over classes, and per class."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from argus_core.errors import ArgusError
from argus_core.tasks.base import Metric

if TYPE_CHECKING:
    from argus_core.tasks.classify.values import Classes


TOP = 5


class Accuracy(Metric):
    """Shares of images in 0..1: ``top1`` and ``top5`` over all images, ``mean_class`` the mean of the classes' top-1.

    ``class/NAME`` is one class's. Of equal scores the lower class index counts as the better. Classes without images
    are left out of the mean, their own accuracy is nan; so is everything without images.
    """

    primary = "top1"
    protocol: str = "accuracy-1"

    def __init__(self, classes: Sequence[str]) -> None:
        self.classes = tuple(classes)
        self._images: dict[str, tuple[int, int]] = {}  # class, and how many classes were put before it

    def update(self, key: str, prediction: Classes, truth: int) -> None:
        """Add one image's scores and class index; raises ArgusError for scores that cannot be ranked."""
        if key in self._images:
            raise ArgusError(f"image {key!r} is counted twice; give each image once")
        scores = prediction.scores
        if scores.shape != (len(self.classes),) or not scores.isfinite().all():
            raise ArgusError(f"the scores of image {key!r} are not {len(self.classes)} finite numbers")
        if not 0 <= truth < len(self.classes):
            raise ArgusError(f"label {truth} of image {key!r} is not the index of one of {len(self.classes)} classes")
        before = (scores > scores[truth]).sum() + (scores[:truth] == scores[truth]).sum()
        self._images[key] = (int(truth), int(before))

    def compute(self) -> dict[str, float]:
        """All accuracies."""
        labels, ranks = np.array([*self._images.values()], dtype=np.int64).reshape(-1, 2).T
        images = np.bincount(labels, minlength=len(self.classes))
        right = np.bincount(labels[ranks < 1], minlength=len(self.classes))
        own = [hits / n if n else math.nan for hits, n in zip(right.tolist(), images.tolist(), strict=True)]
        defined = [value for value in own if not math.isnan(value)]
        return {
            "top1": _mean(ranks < 1),
            "top5": _mean(ranks < TOP),
            "mean_class": _mean(np.array(defined)),
            **{f"class/{name}": value for name, value in zip(self.classes, own, strict=True)},
        }

    def state(self) -> dict[str, list[int]]:
        """Per image key, its class and how many classes were put before it."""
        return {key: list(image) for key, image in self._images.items()}

    def merge(self, states: Sequence[dict[str, list[int]]]) -> None:
        """Replace what was added by the union of ``states``; an image in two of them raises ArgusError."""
        self._images = {}
        for state in states:
            twice = sorted(state.keys() & self._images.keys())
            if twice:
                raise ArgusError(f"images {twice[:3]} are counted twice; split the data set without overlap")
            self._images |= {key: (label, before) for key, (label, before) in state.items()}


def _mean(values: npt.NDArray[Any]) -> float:
    return float(values.mean()) if len(values) else math.nan
