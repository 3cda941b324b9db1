"""Mean intersection over union, from the pixels of each class in each image."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from argus_core.errors import ArgusError
from argus_core.tasks.contributions import (
    Contributions,
    Counts,
    Rescore,
    Scores,
    item_owners,
    mean_defined,
    ratio,
)
from argus_core.tasks.metric import RecordMetric
from argus_core.tasks.segment.values import Segmentation

Pixels = npt.NDArray[np.float64]
MEANS: Mapping[str, Callable[[Pixels, Pixels, Pixels], Scores]] = {
    "mIoU": lambda right, true, predicted: mean_defined(ratio(right, true + predicted - right)),
    "mAcc": lambda right, true, predicted: mean_defined(ratio(right, true)),
    "aAcc": lambda right, true, predicted: ratio(right.sum(-1), true.sum(-1)),
    "dice": lambda right, true, predicted: mean_defined(ratio(2 * right, true + predicted)),
    "precision": lambda right, true, predicted: mean_defined(ratio(right, predicted)),
}
"""Scores of all classes together, of the pixels of each (..., classes): right ones, true ones, predicted ones."""
COLUMNS = ("class", "right", "true", "predicted")


class IoUMetric(RecordMetric[list[list[int]]]):
    """IoU per class over all pixels of all images, and its mean; all are in 0..1, ``IoU/<class>`` is for one class.

    ``mAcc`` is the mean of class recalls, ``dice`` that of class F-scores, ``precision`` that of precisions, ``aAcc``
    the share of right pixels. A class that is neither annotated nor predicted is left out of a mean, and its own
    score is nan. A labelled pixel without a prediction is wrong; pixels of ``ignore`` do not count.
    """

    primary = "mIoU"
    protocol = "miou-1"

    def __init__(self, classes: Sequence[str], ignore: int) -> None:
        super().__init__()
        self.classes = tuple(classes)
        self.ignore = ignore

    def update(self, key: str, prediction: Segmentation, truth: npt.NDArray[np.integer[Any]]) -> None:
        """Add one image: a prediction and a mask of the same size (h, w)."""
        predicted = prediction.labels.cpu().int()
        if tuple(predicted.shape) != truth.shape:
            raise ArgusError(f"image {key!r}: the prediction is {tuple(predicted.shape)}, the mask {truth.shape}")
        count = len(self.classes) + 1
        index = self._rows(torch.from_numpy(truth.astype(np.int32)), f"image {key!r}: the mask") * count
        index += self._rows(predicted, f"image {key!r}: the prediction")
        # Truth by prediction; the last column counts pixels without a predicted class.
        table = torch.bincount(index.flatten(), minlength=count**2).view(count, count)[:-1].numpy()
        pixels = np.stack([table.diagonal(), table.sum(axis=1), table[:, :-1].sum(axis=0)])
        there = np.flatnonzero(pixels.any(axis=0))
        self.add(key, [there.tolist(), *pixels[:, there].tolist()])

    def _rows(self, labels: Tensor, what: str) -> Tensor:
        """Labels with ``ignore`` as one more class."""
        last = len(self.classes)
        rows = torch.where(labels == self.ignore, last, labels)
        low, high = rows.aminmax()
        if low < 0 or high > last or (self.ignore != last and (labels == last).any()):
            smallest, largest = (int(end) for end in labels.aminmax())
            raise ArgusError(f"{what} has labels other than 0..{last - 1} and {self.ignore}: {smallest} to {largest}")
        return rows

    def compute(self) -> dict[str, float]:
        """The means first, then the IoU of every class."""
        right, true, predicted = _totals(self.contributions(), len(self.classes)).sum(axis=0)
        iou = ratio(right, true + predicted - right)
        return {
            **{name: float(mean(right, true, predicted)) for name, mean in MEANS.items()},
            **{f"IoU/{name}": float(value) for name, value in zip(self.classes, iou, strict=True)},
        }

    def contributions(self) -> Contributions:
        """Pixels of the classes that are annotated or predicted in each image, of which there are ``classes``."""
        records = self.records()
        columns = {
            name: _narrow(np.array([value for record in records for value in record[place]], dtype=np.int64))
            for place, name in enumerate(COLUMNS)
        }
        sizes = np.array([len(record[0]) for record in records], dtype=np.int32)
        return Contributions(self.keys(), {**columns, "class": columns["class"].astype(np.uint16), "classes": sizes})

    def rescore(self, kept: Contributions, score: str) -> Rescore | None:
        """Any of the means, or the IoU of a class."""
        start, _, name = score.partition("/")
        if score not in MEANS and (start != "IoU" or name not in self.classes):
            return None
        totals = _totals(kept, len(self.classes))
        flat = totals.reshape(len(kept), 3 * len(self.classes))

        def rescore(counts: Counts) -> Scores:
            right, true, predicted = np.moveaxis(
                (counts.astype(np.float64) @ flat).reshape(-1, *totals.shape[1:]), 1, 0
            )
            if score in MEANS:
                return MEANS[score](right, true, predicted)
            return ratio(right, true + predicted - right)[:, self.classes.index(name)]

        return rescore


def _narrow(pixels: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
    return pixels.astype(np.uint32) if pixels.max(initial=0) < 2**32 else pixels


def _totals(kept: Contributions, classes: int) -> Pixels:
    """Right, true and predicted pixels of every class in every image, (images, 3, classes)."""
    totals = np.zeros((len(kept), 3, classes))
    owners, named = item_owners(kept.arrays["classes"]), kept.arrays["class"].astype(np.int64)
    for place, name in enumerate(COLUMNS[1:]):
        totals[owners, place, named] = kept.arrays[name]
    return totals
