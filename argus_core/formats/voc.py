"""Pascal VOC's XML files: ``Annotations/IMAGE.xml`` beside ``JPEGImages/IMAGE.jpg``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import IO
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from argus_core.common.files import write_quickly, write_text
from argus_core.common.unique import one_line
from argus_core.formats.images import place_image
from argus_core.formats.writer import Record, Writer
from argus_core.tasks.detect import DetectionResult

DIGITS = 9
FIRST = 1
"""The number of the first pixel: VOC counts from 1, and the last pixel belongs to the box."""
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What no XML text can hold: control characters, and bytes of names that are not UTF-8."""


class Voc(Writer):
    """``HEAD/voc``: a data set in Pascal VOC's layout, an ``object`` with ``name`` and ``bndbox`` per detection.

    Pixels are counted from 1 and the last one is part of the box, as in VOC: the box from x1 to x2 here is ``xmin``
    x1 + 1 to ``xmax`` x2 there, with fractions; a side below one pixel becomes one pixel. ``score`` is an element of
    its own that other readers pass over.
    """

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self._lists: dict[str, IO[str]] = {}

    def write(self, record: Record) -> None:
        """The XML file, the image, and its name in the list of images."""
        for head, result in record.of(DetectionResult):
            if head not in self._lists:
                self._begin(head, result)
            image = place_image(self.folder, record, head, "voc", "JPEGImages")
            inside = image.relative_to(self.folder.out / head / "voc" / "JPEGImages").as_posix()
            file = self.folder.file(head, "voc", "Annotations", f"{record.place}.xml")
            write_quickly(file, voc_xml(result, inside))
            self._lists[head].write(f"{record.place}\n")
            self._lists[head].flush()

    def close(self) -> None:
        """Close the lists."""
        for stream in self._lists.values():
            stream.close()

    def _begin(self, head: str, result: DetectionResult) -> None:
        """Write the names of the classes, and open the list of images."""
        names = "".join(f"{one_line(name)}\n" for name in result.classes)
        write_text(self.folder.file(head, "voc", "classes.txt"), names)
        path = self.folder.file(head, "voc", "ImageSets", "Main", "train.txt")
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lists[head] = path.open("w", encoding="utf-8", errors="surrogateescape")


def voc_xml(result: DetectionResult, file: str) -> str:
    """The annotation of one image, which is ``file`` in the folder of images."""
    height, width, depth = result.image.shape
    root = Element("annotation")
    _add(root, {"folder": "JPEGImages", "filename": file})
    _add(SubElement(root, "source"), {"database": "predictions of Argus"})
    _add(SubElement(root, "size"), {"width": width, "height": height, "depth": depth})
    _add(root, {"segmented": 0})
    for entry in result.entries:
        found = SubElement(root, "object")
        _add(found, {"name": entry["class_name"], "pose": "Unspecified", "truncated": 0, "difficult": 0})
        _add(found, {"score": entry["score"]})
        x1, y1, x2, y2 = entry["box"]
        (xmin, xmax), (ymin, ymax) = _counted(x1, x2, width), _counted(y1, y2, height)
        _add(SubElement(found, "bndbox"), {"xmin": xmin, "ymin": ymin, "xmax": xmax, "ymax": ymax})
    indent(root)
    return tostring(root, encoding="unicode") + "\n"


def _counted(start: float, end: float, length: int) -> tuple[float, float]:
    """The first and the last pixel, counted from 1; at least one whole pixel of the ``length`` of a side."""
    first = min(start + FIRST, float(length))
    return first, max(end, first)


def _add(parent: Element, values: Mapping[str, str | float]) -> None:
    """Add an element with a text for every value."""
    for tag, value in values.items():
        text = f"{value:.{DIGITS}g}" if isinstance(value, float) else str(value)
        SubElement(parent, tag).text = _FORBIDDEN.sub("\ufffd", text)
