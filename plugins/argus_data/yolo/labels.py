"""Label files of YOLO: a line per object, with what is wrong in any of them."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from argus_core.errors import ArgusError, Fault, counted
from argus_data.files.texts import read_text
from argus_data.layers.box_forms import MISFITS, Form, corners

Shares = npt.NDArray[np.float64]
SLACK = 1e-3
"""Share of the image by which rounding may move a box out of it."""
PIXELS = 2.0
"""Larger coordinates are no shares of the image."""
MANY = 3
"""So many boxes, and a tenth of all, leave the image where their numbers mean something else; one more class than there
are names, so many times, shows that classes are counted from 1."""
FORMS: Mapping[Form, str] = {"xyxy": "x1 y1 x2 y2", "xywh": "x1 y1 width height"}
"""What is written in place of centre and size."""
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


@dataclass(frozen=True)
class Labels:
    """The objects of one image: labels (N,), boxes (N, 4) x1, y1, x2, y2 and areas (N,) as shares of the image.

    The area of an object is that of its polygon, and not a number where there is none.
    """

    labels: npt.NDArray[np.int64]
    boxes: Shares
    area: Shares

    @classmethod
    def of(cls, rows: Sequence[tuple[float, ...]] = ()) -> Labels:
        """Labels of rows label, x1, y1, x2, y2, area."""
        table = np.array(rows, dtype=np.float64).reshape(-1, 6)
        return cls(table[:, 0].astype(np.int64), table[:, 1:5].copy(), table[:, 5].copy())


class _UnusableError(Exception):
    """Why a line is left out: the kind, and what is wrong with this one."""

    def __init__(self, kind: str, what: str) -> None:
        self.kind, self.what = kind, what


class LabelReader:
    """Reads the label files of a split and collects their faults.

    ``classes`` gives the label of each number in the files; ``keypoints`` is how many numbers follow the box of a pose.
    """

    def __init__(self, split: str, classes: Mapping[int, int], keypoints: int = 0) -> None:
        self.split, self.classes, self.keypoints = split, classes, keypoints
        self.lines = self.polygons = self.poses = 0
        self._faults: list[Fault] = []
        self._notes: dict[str, tuple[int, str]] = {}
        self._numbers: Counter[int] = Counter()
        self._plain: list[Sequence[float]] = []
        self._where = ""

    def read(self, file: Path, shown: str) -> Labels | None:
        """The objects in a file, called ``shown`` in messages; None, with a fault, if it cannot be read."""
        try:
            text = read_text(file)
        except ArgusError as error:
            kind = "images whose label file cannot be read"
            self._faults.append(Fault(f"{self.split}, {shown}", str(error), True, kind))
            return None
        rows = []
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip():
                self._where = f"{shown}, line {number}"
                self.lines += 1
                try:
                    rows.append(self._row(line))
                except _UnusableError as error:
                    self._faults.append(Fault(f"{self.split}, {self._where}", error.what, True, error.kind))
        return Labels.of(rows)

    def faults(self) -> list[Fault]:
        """What is wrong with the files that were read; what is left out counts against all lines."""
        notes = [
            Fault(f"{self.split}, labels", f"{count} {kind}, such as {first}" if count > 1 else f"{kind}: {first}")
            for kind, (count, first) in self._notes.items()
        ]
        counted = [replace(fault, total=self.lines) if fault.dropped else fault for fault in self._faults]
        return [*counted, *notes, *self._misread()]

    def remarks(self) -> list[str]:
        """What is taken of lines that hold more than a box."""
        taken = {"the box around an outline": self.polygons, "the box of a pose": self.poses}
        return [f"{what} is taken, in {counted(lines, 'line')}" for what, lines in taken.items() if lines]

    def _row(self, line: str) -> tuple[float, ...]:
        """Label, corners and area of a line."""
        words, shown = self._words(line), repr(line.strip()[:60])
        if odd := [word for word in words if not NUMBER.fullmatch(word)]:
            what = f"{shown} is not a class number and a place: {odd[0]!r} is no decimal number"
            raise _UnusableError("lines that are not numbers", what)
        number, *values = map(float, words)
        label = self._label(number, words[0])
        boxed = len(values) in (4, 5) or (self.keypoints > 0 and len(values) == 4 + self.keypoints)
        if max(map(abs, values[:4] if boxed else values), default=0) > PIXELS:
            what = f"{shown} has no shares of the image, from 0 to 1; divide pixels by its size"
            raise _UnusableError("coordinates that are no shares of the image", what)
        if boxed:
            self.poses += len(values) > 5
            return label, *self._clipped(self._corners(values)), math.nan
        row = label, *self._clipped(self._around(values)), _area(values)
        self.polygons += 1
        return row

    def _words(self, line: str) -> list[str]:
        """The columns of a line, which commas may part, or stand in for points."""
        words = line.split()
        if "," not in line:
            return words
        if len(words) >= 5 and not any(word.endswith(",") for word in words):
            self._note("lines with decimal commas, read as points", self._where)
            return [word.replace(",", ".") for word in words]
        self._note("lines whose columns are parted by commas, not by blanks", self._where)
        return line.replace(",", " ").split()

    def _label(self, number: float, word: str) -> int:
        if not number.is_integer():
            raise _UnusableError("classes that are no whole numbers", f"its class {word} is no whole number")
        if not word.lstrip("+-").isdigit():
            self._note("lines whose class is written as a float", self._where)
        self._numbers[int(number)] += 1
        label = self.classes.get(int(number))
        if label is None:
            known = f"{min(self.classes)} to {max(self.classes)}"
            raise _UnusableError("classes without a name", f"its class {word} has no name; the names are of {known}")
        return label

    def _corners(self, values: Sequence[float]) -> tuple[float, float, float, float]:
        """The box x1, y1, x2, y2 of a centre, width and height."""
        x, y, width, height = values[:4]
        if len(values) == 5 and not self.keypoints:
            self._note("lines with a sixth number, taken for a confidence: are these predictions?", self._where)
        if width <= 0 or height <= 0:
            raise _UnusableError("boxes without area", f"its box is {width:g} wide and {height:g} high")
        self._plain.append(values[:4])
        return x - width / 2, y - height / 2, x + width / 2, y + height / 2

    def _around(self, values: Sequence[float]) -> tuple[float, float, float, float]:
        """The box that surrounds a polygon."""
        if len(values) < 6 or len(values) % 2:
            what = f"it has {len(values) + 1} columns, not 5 (class x y width height), nor a class and points x y"
            hint = "" if self.keypoints else "; key points need kpt_shape in the YAML file"
            raise _UnusableError("lines with a wrong number of columns", what + hint)
        x1, x2, y1, y2 = min(values[::2]), max(values[::2]), min(values[1::2]), max(values[1::2])
        if x1 == x2 or y1 == y2:
            raise _UnusableError("boxes without area", "all points of its polygon lie on one line")
        return x1, y1, x2, y2

    def _clipped(self, corners: tuple[float, ...]) -> tuple[float, ...]:
        """The box within the image."""
        inside = tuple(min(max(corner, 0.0), 1.0) for corner in corners)
        if max(abs(new - old) for new, old in zip(inside, corners, strict=True)) <= SLACK:
            return inside
        shown = f"its box from {_rounded(corners[:2])} to {_rounded(corners[2:])}"
        if inside[0] >= inside[2] or inside[1] >= inside[3]:
            raise _UnusableError("boxes outside their image", f"{shown} lies outside the image")
        where = f"{self.split}, {self._where}"
        self._faults.append(Fault(where, f"{shown} leaves the image", kind="boxes that leave their image"))
        return inside

    def _misread(self) -> list[Fault]:
        """Faults that show only over all lines: boxes in another form, and classes that are counted from 1."""
        where, faults = f"{self.split}, labels", []
        boxes = np.array(self._plain).reshape(-1, 4)
        out, others = _misfits(boxes, "cxcywh"), {form: _misfits(boxes, form) for form in FORMS}
        form = min(FORMS, key=others.__getitem__)
        if out >= max(MANY, MISFITS * len(boxes)) and others[form] <= MISFITS * out:
            what = f"{out} of {len(boxes)} boxes leave their image, and {others[form] or 'none'} would as {FORMS[form]}"
            faults.append(Fault(where, f"{what}; write centre x y width height", wrong=True))
        if self._numbers[max(self.classes) + 1] >= MANY and min(self._numbers) == 1:
            what = f"no line has class 0, and some have {max(self.classes) + 1}: classes count from 0, not from 1"
            faults.append(Fault(where, what, wrong=True))
        return faults

    def _note(self, kind: str, first: str) -> None:
        count, known = self._notes.get(kind, (0, first))
        self._notes[kind] = count + 1, known


def has_label_lines(file: Path) -> bool:
    """Whether a text file begins with a class number and a place."""
    with file.open("rb") as stream:
        words = stream.readline(10_000).decode("utf-8-sig", errors="replace").split()
    return len(words) >= 5 and words[0].isdecimal() and all(map(NUMBER.fullmatch, words))


def _misfits(boxes: Shares, form: Form) -> int:
    """How many boxes leave their image, or have no area, as ``form``."""
    ends = corners(boxes, form, np.ones((len(boxes), 2)))
    inside = (ends >= -SLACK) & (ends <= 1 + SLACK) & np.tile(ends[:, :2] < ends[:, 2:], 2)
    return int((~inside.all(axis=1)).sum())


def _area(values: Sequence[float]) -> float:
    """The area of a polygon within the image; not a number where it encloses nothing."""
    x, y = np.clip(values[::2], 0, 1), np.clip(values[1::2], 0, 1)
    return abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2 or math.nan


def _rounded(values: Sequence[float]) -> list[float]:
    return [round(value, 4) for value in values]
