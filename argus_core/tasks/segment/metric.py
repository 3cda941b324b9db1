"""Mean intersection over union, from one table of pixels for the whole data set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from argus_core.errors import ArgusError
from argus_core.tasks.metric import Metric, union
from argus_core.tasks.segment.values import Segmentation

Scores = npt.NDArray[np.float64]


class IoUMetric(Metric):
    """IoU per class over all pixels of all images, and its mean; all are in 0..1, ``IoU/<class>`` is for one class.

    ``mAcc`` is the mean of class recalls, ``dice`` that of class F-scores, ``precision`` that of precisions, ``aAcc``
    the share of right pixels. A class that is neither annotated nor predicted is left out of a mean, and its own
    score is nan. A labelled pixel without a prediction is wrong; pixels of ``ignore`` do not count.
    """

    primary = "mIoU"
    protocol = "miou-1"

    def __init__(self, classes: Sequence[str], ignore: int) -> None:
        self.classes = tuple(classes)
        self.ignore = ignore
        self._keys: set[str] = set()
        # Truth by prediction; the last column counts pixels without a predicted class.
        self._table = np.zeros((len(classes), len(classes) + 1), dtype=np.int64)

    def update(self, key: str, prediction: Segmentation, truth: npt.NDArray[np.integer[Any]]) -> None:
        """Add one image: a prediction and a mask of the same size (h, w)."""
        if key in self._keys:
            raise ArgusError(f"image {key!r} is counted twice; give each image once")
        predicted = prediction.labels.cpu().int()
        if tuple(predicted.shape) != truth.shape:
            raise ArgusError(f"image {key!r}: the prediction is {tuple(predicted.shape)}, the mask {truth.shape}")
        count = len(self.classes) + 1
        index = self._rows(torch.from_numpy(truth.astype(np.int32)), f"image {key!r}: the mask") * count
        index += self._rows(predicted, f"image {key!r}: the prediction")
        self._table += torch.bincount(index.flatten(), minlength=count**2).view(count, count)[:-1].numpy()
        self._keys.add(key)

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
        right = self._table.diagonal()
        true, predicted = self._table.sum(axis=1), self._table[:, :-1].sum(axis=0)
        iou = _ratio(right, true + predicted - right)
        return {
            "mIoU": _mean(iou),
            "mAcc": _mean(_ratio(right, true)),
            "aAcc": float(_ratio(right.sum(keepdims=True), true.sum(keepdims=True))[0]),
            "dice": _mean(_ratio(2 * right, true + predicted)),
            "precision": _mean(_ratio(right, predicted)),
            **{f"IoU/{name}": float(value) for name, value in zip(self.classes, iou, strict=True)},
        }

    def state(self) -> dict[str, Any]:
        """The table of pixels, truth by prediction, and the keys of the images in it."""
        return {"table": self._table.tolist(), "keys": sorted(self._keys)}

    def merge(self, states: Sequence[dict[str, Any]]) -> None:
        """Replace what was added by the union of ``states``; an image in two of them raises ArgusError."""
        self._keys = set(union([dict.fromkeys(state["keys"]) for state in states]))
        tables = [np.array(state["table"], dtype=np.int64) for state in states]
        self._table = sum(tables, np.zeros_like(self._table))


def _ratio(part: npt.NDArray[np.int64], whole: npt.NDArray[np.int64]) -> Scores:
    """Element-wise shares; nan where the whole is 0."""
    return np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)


def _mean(values: Scores) -> float:
    """The mean of the values that are not nan."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else float("nan")
