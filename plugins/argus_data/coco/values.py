"""Values of COCO files in a wrong form: numbers written as text, and boxes that are not x, y, width, height."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from argus_core.errors import Fault

Pixels = npt.NDArray[np.float64]

FLAGS = {"0": False, "1": True, "false": False, "true": True, "no": False, "yes": True, "": False}
NUMBER = "text; it is read as a number"
NOTES = {
    "image_id": "of another type (text, number) than the ids of the images; they are matched as numbers",
    "iscrowd": "text; it is read as true or false",
}
"""Messages for fields whose values have a wrong type; ``NUMBER`` is that of all others."""

MANY, HALF = 20, 0.5
"""In a file of this many boxes, it is suspicious if none reaches beyond this share of its image."""

CORNERS = 3
"""If x2, y2 were written for width and height, most boxes leave their image: a third of them, and at least three."""


class Texts:
    """Reads numbers and booleans of annotations, and counts by field those that are written as text."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._notes: dict[str, tuple[int, str]] = {}

    def number(self, entry: dict[str, Any], field: str, annotation: str) -> float | None:
        """A field as a number, None if it is not one."""
        value = entry.get(field)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return value
        if not isinstance(value, str):
            return None
        try:
            number = float(value)
        except ValueError:
            return None
        self.note(field, value, annotation)
        return number

    def flag(self, entry: dict[str, Any], field: str, annotation: str) -> bool:
        """A field as a boolean; unknown words count as false."""
        value = entry.get(field)
        if not isinstance(value, str):
            return bool(value)
        self.note(field, value, annotation)
        return FLAGS.get(value.strip().lower(), False)

    def note(self, field: str, value: Any, annotation: str) -> None:
        """Count a value of a wrong type."""
        count, first = self._notes.get(field, (0, f"{value!r} of annotation {annotation}"))
        self._notes[field] = count + 1, first

    def faults(self) -> list[Fault]:
        """One per field with such values."""
        return [
            Fault(self._file, f"{field} of {count} annotations is {NOTES.get(field, NUMBER)}: {first}")
            for field, (count, first) in self._notes.items()
        ]


def plain_id(value: Any) -> str:
    """An id as text, in which ``7``, ``7.0``, ``"7"`` and ``"007"`` are alike."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = str(value).strip()
    return str(int(text)) if text.isascii() and text.isdigit() else text


def whole_number(value: Any) -> int:
    """A positive whole number, also from text or a float; 0 for anything else."""
    try:
        number = 0.0 if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return 0
    return int(number) if number > 0 and number.is_integer() else 0


def misread(file: str, corners: Pixels, limits: Pixels) -> list[Fault]:
    """Faults that show only over all boxes of a file: they are not x, y, width, height in pixels.

    ``corners`` (N, 4) are x1, y1, x2, y2 computed as if they were, ``limits`` (N, 2) the widths and heights of their
    images, infinite where unknown.
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
