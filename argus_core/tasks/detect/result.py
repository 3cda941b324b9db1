"""The result of a detection: the objects of an image."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from argus_core.draw import draw_boxes
from argus_core.draw.boxes import drawn
from argus_core.draw.palette import Pixels
from argus_core.draw.panel import resized
from argus_core.errors import counted
from argus_core.tasks.detect.values import Detections
from argus_core.tasks.result import Result, Vectors, as_supervision, rounded

if TYPE_CHECKING:
    import supervision


MOST_NAMED = 3
"""How many classes a summary names."""


@dataclass(frozen=True, repr=False)
class DetectionResult(Result):
    """Boxes, best first; iterating gives ``{"class_id", "class_name", "score", "box": [x1, y1, x2, y2]}``.

    ``categories`` are the ids of the classes in COCO files; empty where the data set has none. If embeddings were asked
    for, ``embeddings`` (N, C) are vectors of length 1, one for each box, and entries also have their "embedding". From
    a tracker, ``tracks`` (N,) are the ids of identities, -1 for a box that has none yet, and entries have "track_id",
    an id or None.
    """

    detections: Detections = field(repr=False)
    classes: tuple[str, ...] = field(repr=False)
    categories: tuple[int | None, ...] = field(default=(), repr=False)
    embeddings: Vectors | None = field(default=None, repr=False, kw_only=True)
    tracks: npt.NDArray[np.int64] | None = field(default=None, repr=False, kw_only=True)

    @property
    def entries(self) -> list[dict[str, Any]]:
        """The detections as plain data."""
        rows = zip(
            self.detections.boxes.tolist(),
            self.detections.scores.tolist(),
            self.detections.labels.tolist(),
            strict=True,
        )
        entries = [
            {"class_id": label, "class_name": self.classes[label], "score": score, "box": box}
            for box, score, label in rows
        ]
        return [{**entry, **more} for entry, more in zip(entries, self._additions(), strict=True)]

    def _additions(self) -> list[dict[str, Any]]:
        """What entries have besides, if it was asked for."""
        more: list[dict[str, Any]] = [{} for _ in range(len(self))]
        if self.tracks is not None:
            more = [{"track_id": track if track >= 0 else None} for track in self.tracks.tolist()]
        if self.embeddings is None:
            return more
        return [{**entry, "embedding": vector} for entry, vector in zip(more, rounded(self.embeddings), strict=True)]

    def __len__(self) -> int:
        return len(self.detections.scores)

    def __getitem__(self, place: int) -> dict[str, Any]:
        return self.entries[place]

    def chosen(self, boxes: npt.NDArray[np.bool_]) -> DetectionResult:
        """The same of some boxes, those that are true in ``boxes`` (N,)."""
        found, places = self.detections, np.flatnonzero(boxes)
        return replace(
            self,
            detections=Detections(found.boxes[places], found.scores[places], found.labels[places]),
            embeddings=None if self.embeddings is None else self.embeddings[places],
            tracks=None if self.tracks is None else self.tracks[places],
        )

    def summary(self) -> str:
        """How many objects of which classes, and the best score."""
        best = f"; best {self.detections.scores.max().item():.2f}" if len(self) else ""
        return f"{self._count_classes(self.detections.labels.tolist())}{best}"

    def headline(self) -> str:
        """How many objects of which classes the picture shows."""
        shown = drawn(self.detections.boxes, self.detections.scores, tracks=self.tracks)
        return self._count_classes(self.detections.labels[shown].tolist())

    def _count_classes(self, labels: list[int]) -> str:
        """The number of objects and those of the most frequent classes."""
        counts = Counter(self.classes[label] for label in labels).most_common()
        named = [f"{number} {name}" for name, number in counts[:MOST_NAMED]]
        others = sum(number for _, number in counts[MOST_NAMED:])
        rest = [counted(others, "other")] if others else []
        return f"{counted(len(labels), 'object')}: {', '.join(named + rest)}" if labels else "no objects"

    def to_dict(self) -> dict[str, Any]:
        """All detections, and the embedding of the image where there is one."""
        image = {} if self.embedding is None else {"embedding": rounded(self.embedding)}
        return {"detections": self.entries, **image}

    def to_coco(
        self, image_id: int | str, first_category: int | None = None, file_name: str | None = None
    ) -> list[dict[str, Any]]:
        """COCO result entries: ``bbox`` is x, y, width, height, ``category_id`` the data set's own id of the class.

        Where the data set has no ids they count from 1, and with ``first_category`` from that. Nothing is rounded, so
        that COCO's own tools give the same scores; they ignore ``category_name`` and ``file_name``, which are for
        readers.
        """
        own, first = self.categories if first_category is None else (), 1 if first_category is None else first_category
        where = {"image_id": image_id, **({"file_name": file_name} if file_name is not None else {})}
        return [
            {
                **where,
                "category_id": own[entry["class_id"]] if own else entry["class_id"] + first,
                "category_name": entry["class_name"],
                "bbox": _xywh(*entry["box"]),
                "score": entry["score"],
                **({"track_id": entry["track_id"]} if self.tracks is not None else {}),
            }
            for entry in self.entries
        ]

    def to_supervision(self) -> supervision.Detections:
        """The same as ``supervision.Detections``; needs that package.

        Vectors are ``data["embedding"]``; identities ``tracker_id``, -1 where there is none.
        """
        boxes, scores, labels = self.detections.boxes, self.detections.scores, self.detections.labels
        found = as_supervision(boxes.numpy(), scores.tolist(), labels.tolist(), self.classes)
        if self.embeddings is not None:
            found.data["embedding"] = self.embeddings
        found.tracker_id = self.tracks
        return found

    def draw(self) -> Pixels:
        """The image with named boxes; of those that overlap only the best, or all that have an identity."""
        return draw_boxes(self.image, self.detections, self.classes, tracks=self.tracks)

    def tile(self, size: tuple[int, int]) -> Pixels:
        """The same for an image of ``size``."""
        zoom = self.detections.boxes.new_tensor([size[1] / self.image.shape[1], size[0] / self.image.shape[0]] * 2)
        detections = Detections(self.detections.boxes * zoom, self.detections.scores, self.detections.labels)
        return draw_boxes(resized(self.image, size), detections, self.classes, tracks=self.tracks)


def _xywh(x1: float, y1: float, x2: float, y2: float) -> list[float]:
    return [x1, y1, x2 - x1, y2 - y1]
