"""The objects of an image."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from argus_core.draw import draw_boxes
from argus_core.errors import ArgusError
from argus_core.results.base import Pixels, Result
from argus_core.tasks.detect import Detections

if TYPE_CHECKING:
    import supervision


@dataclass(frozen=True)
class DetectionResult(Result):
    """Boxes, best first; iterating gives ``{"box": [x1, y1, x2, y2], "score", "label", "class_name"}``."""

    found: Detections = field(repr=False)
    classes: tuple[str, ...] = field(repr=False)

    @property
    def entries(self) -> list[dict[str, Any]]:
        """The detections as plain data."""
        rows = zip(self.found.boxes.tolist(), self.found.scores.tolist(), self.found.labels.tolist(), strict=True)
        return [
            {"box": box, "score": score, "label": label, "class_name": self.classes[label]}
            for box, score, label in rows
        ]

    def __len__(self) -> int:
        return len(self.found.scores)

    def __getitem__(self, place: int) -> dict[str, Any]:
        return self.entries[place]

    def to_dict(self) -> dict[str, Any]:
        """All detections."""
        return {"detections": self.entries}

    def to_coco(self, image_id: int | str, first_category: int = 1) -> list[dict[str, Any]]:
        """COCO result entries; ``category_id`` counts the classes from ``first_category``."""
        return [
            {
                "image_id": image_id,
                "category_id": one["label"] + first_category,
                "category": one["class_name"],
                "bbox": [round(v, 2) for v in _xywh(one["box"])],
                "score": round(one["score"], 5),
            }
            for one in self.entries
        ]

    def to_supervision(self) -> supervision.Detections:
        """The same as ``supervision.Detections``; needs that package."""
        try:
            import supervision
        except ImportError as error:
            raise ArgusError("to_supervision needs its package: pip install 'argus-perception[supervision]'") from error
        names = [self.classes[label] for label in self.found.labels.tolist()]
        return supervision.Detections(
            xyxy=self.found.boxes.numpy().reshape(-1, 4),
            confidence=self.found.scores.numpy(),
            class_id=self.found.labels.numpy(),
            data={"class_name": np.array(names, dtype=str)},
        )

    def draw(self) -> Pixels:
        """The image with named boxes."""
        return draw_boxes(self.image, self.found, self.classes)


def _xywh(box: list[float]) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = box
    return x1, y1, x2 - x1, y2 - y1
