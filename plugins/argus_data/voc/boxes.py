"""The boxes in annotation files of Pascal VOC, in pixels that are counted as everywhere in Argus."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from argus_core.errors import Fault
from argus_core.image import read_size
from argus_data.voc.objects import VocFile, VocObject
from argus_data.voc.reader import Annotated

if TYPE_CHECKING:
    from argus_core.tasks.detect import Boxes

OneBased = bool | Literal["auto"]
TOLERANCE = 0.5
"""Pixels by which rounding may move a box out of its image."""
ZEROS = 0.002
"""Where a larger share of boxes begins before pixel 1, pixels are not counted from 1, whatever the files say."""


def counts_from_one(files: Iterable[VocFile], one_based: OneBased) -> tuple[bool, str]:
    """Whether corners are numbers of pixels from 1 on, the last one included, and what a user should know of it.

    Pascal VOC writes them so. Most tools write the edges instead, ``xmin`` as x1 and ``xmax`` as x2, and only numbers
    below 1 show it; without these ``source`` decides.
    """
    if one_based != "auto":
        return one_based, ""
    annotated = [file for file in files if file.objects]
    starts = [corner for file in annotated for entry in file.objects for corner in entry.corners[:2]]
    low, known = sum(start < 1 for start in starts), sum(file.counts_from_one for file in annotated)
    if 2 * low > ZEROS * len(starts):
        says = "one_based=true if this is wrong" if known else ""
        what = f"{low} corners of boxes are below 1, although <source> is one that counts pixels from 1"
        return False, f"{what}: they are read as edges, x1 = xmin and x2 = xmax; {says}" if known else ""
    if not annotated or 2 * known > len(annotated):
        return True, ""
    return False, (
        "nothing tells whether boxes are edges, x1 = xmin, or count pixels from 1 as Pascal VOC does, x1 = xmin - 1: "
        "they are read as edges; one_based=true or one_based=false settles it"
    )


class VocBoxes:
    """Makes boxes of the objects in files, and collects their faults.

    ``classes`` are the names of the labels; with ``ignored`` difficult objects are marked, else they are as others.
    """

    def __init__(self, split: str, classes: Sequence[str], from_one: bool, ignored: bool) -> None:
        self.split, self._from_one, self._ignored = split, from_one, ignored
        self._labels: Mapping[str, int] = {name: label for label, name in enumerate(classes)}
        self._faults: list[Fault] = []
        self._objects = 0

    def of(self, entry: Annotated) -> Boxes:
        """The boxes of an image; none where it has no annotation file."""
        from argus_core.tasks.detect import Boxes

        file = entry.file
        rows, difficult = [], []
        if file:
            self._objects += len(file.objects) + len(file.faults)
            self._faults += [replace(fault, where=f"{self.split}, {fault.where}") for fault in file.faults]
            size = file.size or _stored_size(entry)
            for one in file.objects:
                if row := self._row(one, size, f"{self.split}, {file.shown}, line {one.line}"):
                    rows.append(row)
                    difficult.append(one.difficult and self._ignored)
        table = np.array(rows, dtype=np.float64).reshape(-1, 5)
        boxes, count = table[:, 1:].copy(), len(table)
        area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        flags = np.array(difficult, dtype=np.bool_)
        return Boxes(boxes, table[:, 0].astype(np.int64), np.zeros(count, dtype=np.bool_), area, flags)

    def faults(self) -> list[Fault]:
        """What is wrong with the objects; those left out count against all."""
        return [replace(fault, total=self._objects) if fault.dropped else fault for fault in self._faults]

    def _row(self, one: VocObject, size: tuple[float, float], where: str) -> tuple[float, ...] | None:
        """Label and corners x1, y1, x2, y2 in the image; None, with a fault, for an object that cannot be used."""
        first = float(self._from_one)
        x1, y1, x2, y2 = one.corners[0] - first, one.corners[1] - first, *one.corners[2:]
        box = max(x1, 0.0), max(y1, 0.0), min(x2, size[1]), min(y2, size[0])
        written = dict(zip(("xmin", "ymin", "xmax", "ymax"), (f"{corner:g}" for corner in one.corners), strict=True))
        what = f"the box of {one.name!r}, {', '.join(f'{k} {v}' for k, v in written.items())},"
        if one.name not in self._labels:
            self._drop("objects of unknown classes", where, f"there is no class {one.name!r} in the list of classes")
        elif x1 >= x2 or y1 >= y2:
            self._drop("boxes without area", where, f"{what} has no area")
        elif box[0] >= box[2] or box[1] >= box[3]:
            self._drop("boxes outside their image", where, f"{what} lies outside the image of {_shown(size)}")
        else:
            if max(abs(a - b) for a, b in zip(box, (x1, y1, x2, y2), strict=True)) > TOLERANCE:
                kind = "boxes that leave their image"
                self._faults.append(Fault(where, f"{what} leaves the image of {_shown(size)}", kind=kind))
            return self._labels[one.name], *box
        return None

    def _drop(self, kind: str, where: str, what: str) -> None:
        self._faults.append(Fault(where, what, True, kind))


def _stored_size(entry: Annotated) -> tuple[float, float]:
    """Height and width of the image file, infinite where it cannot be read: whoever reads it will tell."""
    try:
        return read_size(entry.image.path)
    except Exception:  # decoders raise anything on a broken file
        return np.inf, np.inf


def _shown(size: tuple[float, float]) -> str:
    return f"{size[0]:g}x{size[1]:g} (height x width)"
