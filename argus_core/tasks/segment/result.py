"""The result of a segmentation: the class of every pixel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from argus_core.draw import draw_mask
from argus_core.draw.masks import shares
from argus_core.draw.palette import Pixels
from argus_core.draw.panel import resized, resized_map
from argus_core.tasks.result import Result, as_supervision
from argus_core.tasks.segment.rle import decode_mask, encode_labels

if TYPE_CHECKING:
    import supervision


@dataclass(frozen=True, repr=False)
class SegmentResult(Result):
    """``labels`` (h, w) are class indices, ``ignore`` where nothing is claimed; ``confidence`` (h, w) is in 0..1."""

    labels: npt.NDArray[np.int64] = field(repr=False)
    confidence: npt.NDArray[np.float32] = field(repr=False)
    classes: tuple[str, ...] = field(repr=False)
    ignore: int = 255

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.asarray(self.labels, dtype=dtype)

    def present(self) -> list[tuple[int, float]]:
        """The indices of the classes present and the share of the image that each covers, largest first."""
        return [(label, share) for label, share in shares(self.labels, self.ignore) if label >= 0]

    def shares(self) -> dict[str, float]:
        """The share of the image that each class covers, largest first."""
        return {self.classes[label]: share for label, share in self.present()}

    def mean_confidence(self, label: int) -> float:
        """The mean confidence of the pixels of a class that is present."""
        return float(self.confidence[self.labels == label].mean())

    def summary(self) -> str:
        """How many classes there are, and the shares of the largest."""
        parts = [f"{name} {100 * share:.0f} %" for name, share in self.shares().items()]
        rest = f", and {len(parts) - 4} more" if len(parts) > 4 else ""
        return f"{len(parts)} of {len(self.classes)} classes: {', '.join(parts[:4])}{rest}" if parts else "no class"

    def headline(self) -> str:
        """The name of the task: the shares of classes are in the legend."""
        return "segmentation"

    def to_dict(self) -> dict[str, Any]:
        """The mask of each class present, largest first, as COCO's run lengths; ``decode_labels`` is the inverse."""
        present = self.present()
        encoded = encode_labels(self.labels, [label for label, _ in present])
        masks = [
            {"class_id": label, "class_name": self.classes[label], "share": round(share, 6), "segmentation": mask}
            for (label, share), mask in zip(present, encoded, strict=True)
        ]
        return {"size": list(self.labels.shape), "masks": masks}

    def to_supervision(self) -> supervision.Detections:
        """One mask (h, w) a class, largest first, and the box around it, as ``supervision.Detections``.

        ``confidence`` is the mean of the class's pixels. Needs the package ``supervision``.
        """
        labels = [label for label, _ in self.present()]
        masks = np.array([self.labels == label for label in labels], dtype=bool).reshape(-1, *self.labels.shape)
        means = [self.mean_confidence(label) for label in labels]
        boxes = np.array([_box_around(mask) for mask in masks], dtype=np.float32)
        return as_supervision(boxes, means, labels, self.classes, masks)

    def draw(self) -> Pixels:
        """The image under colours of its classes, with a legend."""
        return draw_mask(self.image, self.labels, self.classes, self.ignore)

    def tile(self, size: tuple[int, int]) -> Pixels:
        """The same for an image of ``size``, the legend below."""
        labels = resized_map(self.labels, size)
        return draw_mask(resized(self.image, size), labels, self.classes, self.ignore, below=True)


def decode_labels(answer: Mapping[str, Any], ignore: int = 255) -> npt.NDArray[np.int64]:
    """The labels (h, w) of a ``SegmentResult.to_dict()``; ``ignore`` where no mask is."""
    labels = np.full(answer["size"], ignore, dtype=np.int64)
    for mask in answer["masks"]:
        labels[decode_mask(mask["segmentation"])] = mask["class_id"]
    return labels


def _box_around(mask: npt.NDArray[np.bool_]) -> list[int]:
    """x1, y1, x2, y2 of a mask with at least one pixel."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return [int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1]
