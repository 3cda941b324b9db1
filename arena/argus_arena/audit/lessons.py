"""What cached images teach, and what heads that were solved without an image say of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from argus_arena.audit.labels import Ints, assign_folds
from argus_arena.audit.opened import BATCH, Opened
from argus_core.canvas import Placement
from argus_core.data.split import read_truth
from argus_core.errors import ArgusError
from argus_core.model.composition import run_head
from argus_core.tasks import Task
from argus_core.teach.solve import Lesson, solve_head
from argus_core.tokens import PlacedTokens

FOLDS = 3
"""Parts of the images that a head of boxes or masks is asked of: each is a fit of several passes over the others."""


@dataclass(frozen=True)
class Annotated:
    """The images, by number, that have a usable annotation of a task; ``left_out`` says why others have none."""

    opened: Opened
    task: Task
    numbers: Sequence[int]
    left_out: Sequence[str] = ()

    @classmethod
    def of(cls, opened: Opened, name: str) -> Annotated | None:
        """Those of a task of images; None where no split has annotations of it, or samples are of several images."""
        found = opened.task(name)
        if found is None:
            return None
        task, parts = found
        numbers: list[int] = []
        faults: list[str] = []
        for number, (part, index) in enumerate(opened.places.tolist()):
            split = opened.parts[part].split
            if part not in parts or split is None:
                continue
            try:
                fault = task.fault(read_truth(split, index, name), opened.size(number))
            except ArgusError as error:
                fault = str(error)
            if fault:
                faults.append(f"{opened.parts[part].name}, {opened.key(number)}: {fault}")
            else:
                numbers.append(number)
        return cls(opened, task, numbers, faults)

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the task's classes, of a task that has some."""
        names: tuple[str, ...] = getattr(self.task, "classes", ())
        return names

    def truth(self, number: int) -> Any:
        """The annotation of an image, in its pixels."""
        part, index = self.opened.places[number].tolist()
        split = self.opened.parts[part].split
        assert split is not None
        return split.truth(index, self.task.name)

    def each(self, numbers: Sequence[int]) -> Iterator[tuple[int, PlacedTokens]]:
        """The tokens of some images, one by one."""
        for start in range(0, len(numbers), BATCH):
            chosen = numbers[start : start + BATCH]
            for places, placed in self.opened.read(chosen):
                for slot, place in enumerate(places):
                    yield (
                        chosen[place],
                        PlacedTokens(placed.tokens[slot : slot + 1], placed.placements[slot : slot + 1]),
                    )


@dataclass(frozen=True)
class _Lessons:
    """The lessons of some images, for any number of iterations."""

    annotated: Annotated
    numbers: Sequence[int]

    def __iter__(self) -> Iterator[Lesson]:
        for number, placed in self.annotated.each(self.numbers):
            yield Lesson(placed, self.annotated.truth(number))


@torch.no_grad()
def predictions(annotated: Annotated, groups: Ints, folds: int = FOLDS) -> Iterator[tuple[int, Any, Placement]]:
    """For each image its number, the canvas prediction of the task's solved head that has not seen it, and its place.

    Copies, of one of the ``groups``, are never on both sides. Raises ArgusError where the head cannot be solved.
    """
    task, opened = annotated.task, annotated.opened
    parts = assign_folds(groups[list(annotated.numbers)], [0] * len(annotated.numbers), folds)
    for fold in sorted({*parts.tolist()} - {-1}):
        seen = [number for number, own in zip(annotated.numbers, parts, strict=True) if own != fold]
        head = solve_head(task.floor, opened.info, task, _Lessons(annotated, seen))
        asked = [number for number, own in zip(annotated.numbers, parts, strict=True) if own == fold]
        for number, placed in annotated.each(asked):
            yield number, run_head(head, placed.tokens)[0], placed.placements[0]
