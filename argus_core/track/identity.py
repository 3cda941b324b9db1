"""An object that is followed, and the boxes of a frame as arrays."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from argus_core.tasks.detect import DetectionResult
from argus_core.track.motion import Array, Motion

NONE = -1
"""The id of a box that belongs to no identity yet."""
SAME = 0.7
"""The overlap above which two boxes are around the same object."""
FADING = 0.9
"""What a vector counts in the mean of its identity after a certain one was added."""


@dataclass(frozen=True)
class Seen:
    """The boxes of a frame: (N, 4) x1, y1, x2, y2, (N,) scores and labels, and (N, C) vectors if there are any."""

    boxes: Array
    scores: Array
    labels: npt.NDArray[np.int64]
    vectors: Array | None
    sure: npt.NDArray[np.bool_]  # (N,) whether the score is enough to begin an identity

    @classmethod
    def of(cls, result: DetectionResult, threshold: float) -> Seen:
        """Those of a result."""
        found = result.detections
        boxes, scores = found.boxes.double().cpu().numpy(), found.scores.double().cpu().numpy()
        vectors = None if result.embeddings is None else result.embeddings.astype(np.float64)
        labels = found.labels.long().cpu().numpy()
        return cls(boxes.reshape(-1, 4), scores, labels, vectors, scores >= threshold)

    @cached_property
    def clear(self) -> Array:
        """(N,): the share of each box that no single sure one covers; what covers it is seen in its vector, too.

        Boxes that are nearly the same are around the same object, and do not count.
        """
        near = np.maximum(self.boxes[:, None, :2], self.boxes[None, :, :2])
        far = np.minimum(self.boxes[:, None, 2:], self.boxes[None, :, 2:])
        area = np.maximum((self.boxes[:, 2:] - self.boxes[:, :2]).prod(axis=1), 1e-9)
        shared = np.clip(far - near, 0.0, None).prod(axis=2)
        same = shared > SAME * (area[:, None] + area - shared)  # the diagonal, too
        covered = np.where(same | ~self.sure, 0.0, shared).max(axis=1, initial=0.0)
        clear: Array = 1.0 - covered / area
        return clear

    def __len__(self) -> int:
        return len(self.scores)


@dataclass(eq=False)
class Identity:
    """An object that was seen between ``begun`` and ``seen``, in seconds; ``id`` is ``NONE`` until it has one.

    ``sure`` is when it last had a box that is enough to begin an identity.
    """

    label: int
    motion: Motion
    begun: float
    seen: float
    sure: float
    id: int = NONE
    vector: Array | None = field(default=None, repr=False)
    _weight: float = field(default=0.0, repr=False)

    def remember(self, vector: Array, weight: float) -> None:
        """Take the vector of a box into the mean, in which earlier ones fade; ``weight`` is what it is worth, to 1."""
        self._weight = self._weight * FADING**weight + weight
        mean = vector if self.vector is None else self.vector + (vector - self.vector) * (weight / self._weight)
        self.vector = mean / max(float(np.linalg.norm(mean)), 1e-12)
