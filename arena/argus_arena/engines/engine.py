"""What an engine is, and what engines with workers in other processes share."""

from __future__ import annotations

import sys
from abc import abstractmethod
from collections import Counter, deque
from collections.abc import Hashable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Generic, TypeVar

from argus_arena.engines.cells import Cell, Outcome, attempt
from argus_arena.engines.site import Site
from argus_core.errors import counted

Job = TypeVar("Job", bound=Hashable)
GRACE = 60.0
"""Seconds that interrupted cells get to save their state."""


class Engine(AbstractContextManager["Engine", None]):
    """Runs cells; a context manager, at whose end nothing runs any more."""

    @abstractmethod
    def run(self, cells: deque[Cell]) -> Iterator[tuple[Cell, Outcome]]:
        """Take cells until none is left, and give each with its outcome when it is finished.

        Who iterates may add cells meanwhile. What a cell raises is in its outcome.
        """


class Local(Engine):
    """One cell after the other, in this process."""

    def __init__(self, out: Path) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        """Nothing runs beside this process."""

    def run(self, cells: deque[Cell]) -> Iterator[tuple[Cell, Outcome]]:
        """Take cells from the front."""
        while cells:
            cell = cells.popleft()
            yield cell, attempt(cell)


class Remote(Engine, Generic[Job]):
    """Cells in workers that may be lost: such a cell is started again ``retries`` times, then named as a failure.

    At most ``parallel`` cells run at once; with 0 as many as there is room for.
    """

    def __init__(self, out: Path, parallel: int, retries: int) -> None:
        self.out, self.parallel, self.retries = out, parallel, retries
        self._running: dict[Job, Cell] = {}

    def __enter__(self) -> Engine:
        self.site = Site.of(self.out)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the workers; heads in training save their state."""
        if self._running:
            print(f"stopping {counted(len(self._running), 'cell')}", file=sys.stderr)
            self._stop(list(self._running))

    def run(self, cells: deque[Cell]) -> Iterator[tuple[Cell, Outcome]]:
        """Start cells as long as there is room, and give those that are finished."""
        losses: Counter[Cell] = Counter()
        while cells or self._running:
            room = self.parallel - len(self._running) if self.parallel else len(cells)
            starting = [cells.popleft() for _ in range(min(room, len(cells)))]
            self._running |= dict(zip(self._start(starting), starting, strict=True))
            for job in self._finished(list(self._running)):
                cell, outcome = self._running.pop(job), self._outcome(job)
                losses[cell] += outcome.lost
                if outcome.lost and losses[cell] <= self.retries:
                    again = f"it is started again, {losses[cell]} of {self.retries} times"
                    print(f"{cell.name}: {outcome.failure}; {again}", file=sys.stderr)
                    cells.appendleft(cell)
                else:
                    yield cell, outcome

    @abstractmethod
    def _start(self, cells: Sequence[Cell]) -> list[Job]:
        """Give cells, perhaps none, to workers."""

    @abstractmethod
    def _finished(self, jobs: Sequence[Job]) -> Sequence[Job]:
        """Wait until at least one of some jobs ended in whatever way."""

    @abstractmethod
    def _outcome(self, job: Job) -> Outcome:
        """The outcome of a job that ended."""

    @abstractmethod
    def _stop(self, jobs: Sequence[Job]) -> None:
        """Interrupt jobs, as Ctrl-C would, and wait for them."""


def last_line(error: Exception) -> str:
    """The end of an error's text, where libraries put the cause of what happened in another process."""
    return str(error).strip().rpartition("\n")[2]
