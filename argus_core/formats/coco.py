"""COCO's result format: a list of boxes, or of masks as run lengths, which pycocotools loads."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from argus_core.formats.growing import GrowingJson
from argus_core.formats.writer import Record, Writer
from argus_core.tasks.detect import DetectionResult
from argus_core.tasks.segment import SegmentResult


class CocoList(Writer):
    """A file of entries per head."""

    file: str

    def _add(self, head: str, entries: Iterable[Mapping[str, Any]]) -> None:
        """Add entries to the head's file, which also exists where there are none."""
        if head not in self._files:
            self._files[head] = GrowingJson(self.folder.file(head, self.file), "[", "]")
        self._files[head].add(json.dumps(entry, allow_nan=False) for entry in entries)

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._files: dict[str, GrowingJson] = {}

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            file.close()


class CocoDetections(CocoList):
    """``HEAD/detections.json``: ``image_id``, ``category_id``, ``bbox``, ``score``; unrounded."""

    file = "detections.json"

    def write(self, record: Record) -> None:
        """The boxes in the image."""
        for head, result in record.of(DetectionResult):
            self._add(head, self.numbering.entries(head, result, record.name, record.source))


class CocoMasks(CocoList):
    """``HEAD/masks.json``: ``image_id``, ``category_id``, ``segmentation``, ``score``, one entry per class and image.

    ``score`` is the mean confidence of the class's pixels.
    """

    file = "masks.json"

    def write(self, record: Record) -> None:
        """The masks of the classes that are in the image."""
        for head, result in record.of(SegmentResult):
            self._add(head, self.numbering.masks(head, result, record.name, record.source))
