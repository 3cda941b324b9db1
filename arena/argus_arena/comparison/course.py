"""Work in cells whose next ones depend on what the others gave, on any engine, with a line for each."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Protocol, TypeVar

from argus_arena.engines.cells import Cell, Outcome
from argus_arena.engines.engine import Engine
from argus_core.common.progress import ProgressBar


class Course(Protocol):
    """Something that is done by cells."""

    def begin(self) -> list[Cell]:
        """The cells that can start at once."""
        ...

    def after(self, cell: Cell, outcome: Outcome) -> tuple[list[Cell], str]:
        """The cells that can start now that one of these is finished, and a note about it."""
        ...


C = TypeVar("C", bound=Course)


def follow(courses: Sequence[C], engine: Engine, what: str) -> Iterator[C]:
    """Run the cells of courses, and give the course of each cell that is finished; a line says so.

    On an engine with one worker a course ends before the next one begins.
    """
    of = {cell: course for course in courses for cell in course.begin()}
    cells, bar = deque(of), ProgressBar(what, len(of), "cells", every=float("inf"))
    for cell, outcome in engine.run(cells):
        more, note = of[cell].after(cell, outcome)
        of |= dict.fromkeys(more, of[cell])
        cells.extendleft(reversed(more))
        bar.update(bar.done + 1, total=len(of))
        bar.print(bar.line(note))
        yield of[cell]
