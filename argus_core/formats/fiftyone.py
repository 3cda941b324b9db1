"""Labels that FiftyOne imports as they are: ``labels.json``, and ``data.json``, which says where the images lie."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from argus_core.formats.growing import GrowingJson
from argus_core.formats.images import place_image
from argus_core.formats.writer import Record, Writer
from argus_core.tasks.classify import ClassResult
from argus_core.tasks.detect import DetectionResult


class _Files(NamedTuple):
    labels: GrowingJson
    data: GrowingJson


class FiftyOne(Writer):
    """``HEAD/fiftyone``: FiftyOneImageDetectionDataset of boxes, FiftyOneImageClassificationDataset of classes.

    Images stay where they are; frames and images from the web are written to ``frames/``.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._files: dict[str, _Files] = {}

    def write(self, record: Record) -> None:
        """The labels of the image, and its path."""
        for head, boxes in record.of(DetectionResult):
            self._add(head, record, boxes.classes, _boxes(boxes))
        for head, found in record.of(ClassResult):
            best = found.entries[0]
            self._add(head, record, found.classes, {"label": best["class_id"], "confidence": best["score"]})

    def close(self) -> None:
        """Close the files."""
        for files in self._files.values():
            files.labels.close()
            files.data.close()

    def _add(self, head: str, record: Record, classes: Sequence[str], labels: Any) -> None:
        if head not in self._files:
            self._files[head] = self._begin(head, classes)
        path, suffix = self._image(head, record)
        # FiftyOne takes a suffix from the names of images, and none from those of labels.
        self._files[head].data.add([f"{json.dumps(record.place + suffix)}: {json.dumps(path)}"])
        self._files[head].labels.add([f"{json.dumps(record.place)}: {json.dumps(labels, allow_nan=False)}"])

    def _begin(self, head: str, classes: Sequence[str]) -> _Files:
        labels, data = (self.folder.file(head, "fiftyone", name) for name in ("labels.json", "data.json"))
        start = f'{{"classes": {json.dumps(list(classes))}, "labels": {{'
        return _Files(GrowingJson(labels, start, "}}"), GrowingJson(data, "{", "}"))

    def _image(self, head: str, record: Record) -> tuple[str, str]:
        """The path of the image, absolute or below the folder, and its suffix."""
        if record.file is not None:
            return str(record.file), record.file.suffix or ".jpg"
        path = place_image(self.folder, record, head, "fiftyone", "frames")
        return path.relative_to(self.folder.out / head / "fiftyone").as_posix(), path.suffix


def _boxes(result: DetectionResult) -> list[dict[str, Any]]:
    """``bounding_box`` is x, y, width and height as shares of the image."""
    height, width = result.image.shape[:2]
    found = []
    for entry in result.entries:
        x1, y1, x2, y2 = entry["box"]
        box = [x1 / width, y1 / height, (x2 - x1) / width, (y2 - y1) / height]
        found.append({"label": entry["class_id"], "bounding_box": box, "confidence": entry["score"]})
    return found
