"""The class of every pixel."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from argus_core.draw import draw_mask
from argus_core.results.base import Pixels, Result


@dataclass(frozen=True)
class SegmentResult(Result):
    """``labels`` (h, w) are class indices, ``ignore`` where nothing is claimed; ``confidence`` (h, w) is in 0..1."""

    labels: npt.NDArray[np.int64] = field(repr=False)
    confidence: npt.NDArray[np.float32] = field(repr=False)
    classes: tuple[str, ...] = field(repr=False)
    ignore: int = 255

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.asarray(self.labels, dtype=dtype)

    def shares(self) -> dict[str, float]:
        """The share of the image that each class covers, largest first."""
        labels, counts = np.unique(self.labels[self.labels != self.ignore], return_counts=True)
        found = sorted(zip(labels.tolist(), counts.tolist(), strict=True), key=lambda pair: -pair[1])
        return {self.classes[label]: count / self.labels.size for label, count in found}

    def to_dict(self) -> dict[str, Any]:
        """Labels as rows, class names, the share of each class present."""
        return {"labels": self.labels.tolist(), "classes": list(self.classes), "shares": self.shares()}

    def draw(self) -> Pixels:
        """The image under colours of its classes, with a legend."""
        return draw_mask(self.image, self.labels, self.classes, self.ignore)
