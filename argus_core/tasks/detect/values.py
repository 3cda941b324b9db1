"""Annotations, targets and predictions of a detection."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

LIMIT = 100
"""Detections per image that count, as in COCO."""


@dataclass(frozen=True)
class Boxes:
    """The annotated boxes of one image, in image pixels (x1, y1, x2, y2); labels are 0-based class indices.

    ``crowd`` marks regions that hold many objects; ``area`` is the annotated area in square pixels (it
    decides COCO's small, medium and large): that of the mask where there is one. ``difficult`` marks single objects
    that need not be found, as Pascal VOC does; by default there are none. Detections that match them, or lie in a
    crowd, count neither for nor against a detector.
    """

    boxes: npt.NDArray[np.float64]
    labels: npt.NDArray[np.int64]
    crowd: npt.NDArray[np.bool_]
    area: npt.NDArray[np.float64]
    difficult: npt.NDArray[np.bool_] = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if self.difficult is None:
            object.__setattr__(self, "difficult", np.zeros(len(self.labels), dtype=np.bool_))

    @property
    def ignored(self) -> npt.NDArray[np.bool_]:
        """(N,) which boxes are crowds or difficult: nothing is learned from them, and they need not be found."""
        return self.crowd | self.difficult


@dataclass(frozen=True)
class BoxTarget:
    """The boxes of one image on the canvas: (G, 4) x1, y1, x2, y2 pixels, (G,) labels, (G,) crowd flags.

    Here ``crowd`` is whatever losses ignore: crowds, and difficult objects.
    """

    boxes: Tensor
    labels: Tensor
    crowd: Tensor

    def to(self, device: torch.device | str) -> BoxTarget:
        """The same target on ``device``."""
        return BoxTarget(self.boxes.to(device), self.labels.to(device), self.crowd.to(device))


@dataclass(frozen=True)
class Detections:
    """At most 100 boxes of one image, best first: (N, 4) x1, y1, x2, y2, (N,) scores in 0..1, (N,) labels."""

    boxes: Tensor
    scores: Tensor
    labels: Tensor


def shared_areas(a: Tensor, b: Tensor) -> Tensor:
    """(...) areas, in square pixels, that boxes (..., 4) have in common with others, whose shape broadcasts."""
    sides = torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])
    return sides.clamp(min=0).prod(dim=-1)
