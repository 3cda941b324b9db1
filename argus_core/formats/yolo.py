"""YOLO's text files: ``labels/IMAGE.txt`` beside ``images/IMAGE.jpg``, and ``data.yaml`` with the names of classes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import yaml

from argus_core.common.files import write_quickly, write_text
from argus_core.common.unique import one_line
from argus_core.formats.images import place_image
from argus_core.formats.writer import Record, Writer
from argus_core.tasks.detect import DetectionResult

DIGITS = 9
"""As many as 32-bit numbers need to be read as the same ones."""
SPLITS = "train: images\nval:  # these are predictions about one split; readers want both keys\n"
"""Without ``path``, folders are beside ``data.yaml``."""


class Yolo(Writer):
    """``HEAD/yolo``: a data set in YOLO's layout, a line ``class cx cy width height`` per object, best first.

    Centre and size are shares of the image's width and height. An image without objects has an empty file.
    """

    name = "yolo"
    scores = False
    _heads: frozenset[str] = frozenset()

    def write(self, record: Record) -> None:
        """The text and the image."""
        for head, result in record.of(DetectionResult):
            if head not in self._heads:
                self._begin(head, result.classes)
            lines = "".join(f"{line}\n" for line in yolo_lines(result, self.scores))
            write_quickly(self.folder.file(head, self.name, "labels", f"{record.place}.txt"), lines)
            place_image(self.folder, record, head, self.name, "images")

    def _begin(self, head: str, classes: Sequence[str]) -> None:
        """Write the names of the classes, as YOLO's tools and as labelling tools read them."""
        self._heads |= {head}
        names = [one_line(name) for name in classes]
        text = yaml.safe_dump({"nc": len(names), "names": dict(enumerate(names))}, allow_unicode=True, sort_keys=False)
        write_text(self.folder.file(head, self.name, "data.yaml"), SPLITS + text)
        write_text(self.folder.file(head, self.name, "classes.txt"), "".join(f"{name}\n" for name in names))


class YoloScores(Yolo):
    """``HEAD/yolo-scores``: the same with the score as a sixth column, as YOLO's own predictions may have it."""

    name = "yolo-scores"
    scores = True


def yolo_lines(result: DetectionResult, scores: bool = False) -> Iterator[str]:
    """A line per detection; boxes are cut at the borders of the image."""
    height, width = result.image.shape[:2]
    for entry in result.entries:
        x1, x2 = (min(max(x / width, 0.0), 1.0) for x in entry["box"][::2])
        y1, y2 = (min(max(y / height, 0.0), 1.0) for y in entry["box"][1::2])
        numbers = [(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1, *([entry["score"]] if scores else [])]
        yield " ".join([str(entry["class_id"]), *(f"{number:.{DIGITS}g}" for number in numbers)])
