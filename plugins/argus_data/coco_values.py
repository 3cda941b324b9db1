"""Values of COCO files that are not what they should be: numbers as text, and boxes that are no x, y, width, height."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from argus_core.errors import Fault

Pixels = npt.NDArray[np.float64]

FLAGS = {"0": False, "1": True, "false": False, "true": True, "no": False, "yes": True, "": False}
NUMBER = "text; it is read as a number"
TOLD = {
    "image_id": "of another type (text, number) than the ids of the images; they are matched as numbers",
    "iscrowd": "text; it is read as true or false",
}
"""What is said of a field whose values are of another type than they should be."""

MANY, HALF = 20, 0.5
"""Boxes from which on it says something that none reaches beyond half of its image."""

CORNERS = 3
"""Corners taken for sizes leave the image with most boxes: a third of them, and three boxes, are no accident."""


class Texts:
    """Reads numbers and truth values of annotations, also those written as text, and counts these by field."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._seen: dict[str, tuple[int, str]] = {}

    def number(self, entry: dict[str, Any], field: str, annotation: str) -> float | None:
        """A field as a number, None if it is none."""
        value = entry.get(field)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return value
        if not isinstance(value, str):
            return None
        try:
            read = float(value)
        except ValueError:
            return None
        self.note(field, value, annotation)
        return read

    def flag(self, entry: dict[str, Any], field: str, annotation: str) -> bool:
        """A field as a truth value; what is none counts as false."""
        value = entry.get(field)
        if not isinstance(value, str):
            return bool(value)
        self.note(field, value, annotation)
        return FLAGS.get(value.strip().lower(), False)

    def note(self, field: str, value: Any, annotation: str) -> None:
        """Count a value that is of another type than it should be."""
        count, first = self._seen.get(field, (0, f"{value!r} of annotation {annotation}"))
        self._seen[field] = count + 1, first

    def faults(self) -> list[Fault]:
        """One for each field with such values."""
        return [
            Fault(self._file, f"{field} of {count} annotations is {TOLD.get(field, NUMBER)}: {first}")
            for field, (count, first) in self._seen.items()
        ]


def plain_id(value: Any) -> str:
    """An id as text, in which ``7``, ``7.0``, ``"7"`` and ``"007"`` are alike."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = str(value).strip()
    return str(int(text)) if text.isascii() and text.isdigit() else text


def whole_number(value: Any) -> int:
    """A positive whole number, also as text or as a float; 0 if it is none."""
    try:
        number = 0.0 if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return 0
    return int(number) if number > 0 and number.is_integer() else 0


def misread(file: str, corners: Pixels, limits: Pixels) -> list[Fault]:
    """What all boxes of a file together show to be something else than x, y, width, height in pixels.

    ``corners`` (N, 4) are x1, y1, x2, y2 as they follow from those, ``limits`` (N, 2) the widths and heights of their
    images, infinite where they are not known.
    """
    count, start, size = len(corners), corners[:, :2], corners[:, 2:] - corners[:, :2]
    tiny = int(((start >= 0) & (start <= 1) & (size <= 1)).all(axis=1).sum())
    out = int((corners[:, 2:] > limits + 1).any(axis=1).sum())
    if count and 2 * tiny >= count:
        what = f"{tiny} of {count} boxes lie within 0..1: they are shares of the image; write pixels"
        return [Fault(file, what, wrong=True)]
    if out >= max(CORNERS, count / CORNERS) and ((start >= 0) & (start < size) & (size <= limits + 1)).all():
        what = f"{out} of {count} boxes leave their image, and none would as x1, y1, x2, y2; write x, y, width, height"
        return [Fault(file, what, wrong=True)]
    reach = (corners[:, 2:] / limits).max(axis=0, initial=0)
    if count < MANY or not np.isfinite(limits).all() or reach.max() >= HALF:
        return []
    what = f"no box reaches beyond {reach[0]:.0%} of its image's width and {reach[1]:.0%} of its height"
    return [Fault(file, f"{what}: are they of smaller images, or per cent?")]
