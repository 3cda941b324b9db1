"""What is marked on photographs, as the page sends it: points of classes, or boxes around objects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from argus_core.serve.options import Number
from argus_core.serve.refusal import Refusal
from argus_core.tasks import Task
from argus_core.tasks.detect import Boxes, Detect
from argus_core.tasks.segment import Click, Segment, paint_clicks

MOST_CLASSES = 20
MOST_MARKS = 1000
MOST_PHOTOS = 16
MOST_LETTERS = 60
"""Letters of a name."""
LEAST_SIDE = 1.0
"""Pixels of a photograph that a box has at least on every side."""


def _plain(name: str) -> str:
    """The name without space around it; raises ValueError for control characters, and where nothing is left."""
    name = name.strip()
    if not name or not name.isprintable():
        raise ValueError("a class has a name, without line breaks and other control characters")
    return name


Name = Annotated[str, Field(max_length=MOST_LETTERS), AfterValidator(_plain)]


class Mark(BaseModel):
    """A point, x and y, or a box, x1, y1, x2, y2, in pixels of a photograph, and the number of its class."""

    model_config = ConfigDict(extra="forbid")
    class_id: Annotated[int, Field(ge=0)]
    at: Annotated[list[Number], Field(min_length=2, max_length=4)]


class Marked(BaseModel):
    """A photograph, by its id, and the marks on it."""

    model_config = ConfigDict(extra="forbid")
    id: Annotated[str, Field(max_length=64)]
    marks: Annotated[list[Mark], Field(max_length=MOST_MARKS)]


class Marks(BaseModel):
    """Points for the task ``segment``, boxes for ``detect``, on some photographs."""

    model_config = ConfigDict(extra="forbid")
    task: Literal["segment", "detect"]
    classes: Annotated[list[Name], Field(min_length=1, max_length=MOST_CLASSES)]
    photos: Annotated[list[Marked], Field(max_length=MOST_PHOTOS)]

    def check(self, sizes: Sequence[tuple[int, int]]) -> None:
        """Raise ``Refusal`` for marks that teach nothing, or lie outside a photograph; ``sizes`` are height, width."""
        if len(set(self.classes)) < len(self.classes):
            [(name, _)] = Counter(self.classes).most_common(1)
            raise Refusal(f"two classes are called {name!r}; give one of them another name")
        if (count := sum(len(photo.marks) for photo in self.photos)) > MOST_MARKS:
            raise Refusal(f"there are {count} marks; at most {MOST_MARKS} are learned from")
        for photo, size in zip(self.photos, sizes, strict=True):
            for mark in photo.marks:
                self._check(mark, size)
        if missing := self.missing:
            raise Refusal(missing)

    def _check(self, mark: Mark, size: tuple[int, int]) -> None:
        height, width = size
        where = ", ".join(f"{number:g}" for number in mark.at)
        if mark.class_id >= len(self.classes):
            raise Refusal(f"a mark is of class {mark.class_id}, and there are {len(self.classes)}, counted from 0")
        if len(mark.at) != (2 if self.task == "segment" else 4):
            raise Refusal(f"masks are learned from points (x, y), boxes from boxes (x1, y1, x2, y2), not from {where}")
        if not all(0 <= number <= most for number, most in zip(mark.at, (width, height) * 2, strict=False)):
            raise Refusal(f"the mark {where} is not in the photograph of {width}x{height} pixels")
        if self.task == "detect" and min(mark.at[2] - mark.at[0], mark.at[3] - mark.at[1]) < LEAST_SIDE:
            raise Refusal(f"the box {where} is thinner than {LEAST_SIDE:g} pixel")

    @property
    def used(self) -> list[int]:
        """The classes that have a mark."""
        return sorted({mark.class_id for photo in self.photos for mark in photo.marks})

    @property
    def missing(self) -> str:
        """What has to be marked as well before a head can be solved; empty if nothing is missing."""
        if not self.used:
            return "nothing is marked yet"
        if self.task == "segment" and len(self.used) == 1:
            name = self.classes[self.used[0]]
            return f"only {name!r} is marked; mark something else as well, so that it can be told apart"
        return ""

    @property
    def marked(self) -> list[Marked]:
        """The photographs with a mark."""
        return [photo for photo in self.photos if photo.marks]

    def counts(self) -> dict[str, int]:
        """How many marks each class has that has any."""
        found = Counter(mark.class_id for photo in self.photos for mark in photo.marks)
        return {self.classes[number]: found[number] for number in self.used}

    def make_task(self) -> Task:
        """The task of the classes that have a mark."""
        names = tuple(self.classes[number] for number in self.used)
        return Segment(classes=names) if self.task == "segment" else Detect(classes=names)

    def truth(self, photo: Marked, size: tuple[int, int]) -> Any:
        """The annotation of a photograph of ``size`` (height, width): of points the mask that data of clicks have."""
        labels = [self.used.index(mark.class_id) for mark in photo.marks]
        if self.task == "segment":
            clicks = [Click(mark.at[0], mark.at[1], label) for mark, label in zip(photo.marks, labels, strict=True)]
            return paint_clicks(clicks, size, Segment.model_fields["ignore"].default)
        places = np.array([mark.at for mark in photo.marks], dtype=np.float64)
        flat = (places[:, 2:] - places[:, :2]).prod(axis=1)
        return Boxes(places, np.array(labels), np.zeros(len(labels), dtype=np.bool_), flat)
