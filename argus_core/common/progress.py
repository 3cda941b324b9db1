"""Progress of long commands: a bar on a terminal, a plain line now and then in a log, and a line at the end."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

EVERY = 10.0
"""Seconds between two plain lines."""


class ProgressBar:
    """A bar on standard error with count, rate, times and a note, which disappears at the end; a context manager.

    If standard error is not a terminal it prints a line at most every ``every`` seconds: done of total, rate, time
    left, note. ``what`` names the work, ``unit`` the counted things (in the plural), ``done`` how many exist already.
    """

    def __init__(
        self,
        what: str,
        total: int | None = None,
        unit: str = "images",
        done: int = 0,
        *,
        console: Console | None = None,
        every: float = EVERY,
    ) -> None:
        self.console = console or Console(stderr=True, soft_wrap=True)
        self.every = every
        self._bar = _rich_bar(self.console) if self.console.is_terminal else None
        self._task: Any = None
        self.stage(what, total, unit, done)

    def __enter__(self) -> ProgressBar:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def stage(self, what: str, total: int | None = None, unit: str = "images", done: int = 0) -> None:
        """Start other work, such as scoring between two epochs: rate and time left start again."""
        self.what, self.total, self.unit = what, total, unit
        self.done = self._before = done
        self._began = time.monotonic()
        if self._task is None:  # a new stage does not delay the next line
            self._printed = self._began
        if self._bar is None:
            self._task = 0
            return
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._task = self._bar.add_task(what, total=total, completed=done, note="")

    def advance(self, count: int = 1, note: str = "") -> None:
        """Add ``count`` to what is done."""
        self.update(self.done + count, note)

    def update(self, done: int, note: str = "", total: int | None = None) -> None:
        """Set what is done; ``note`` is shown after it, such as ``epoch 2/5, loss 0.31``."""
        self.done = done
        self.total = self.total if total is None else total
        if self._bar is not None:
            self._bar.update(self._task, completed=done, total=self.total, note=note)
        elif time.monotonic() - self._printed >= self.every:
            self._printed = time.monotonic()
            self.print(self.line(note))

    def print(self, text: str) -> None:
        """Print a line above the bar, never wrapped, so that a log keeps it in one piece."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def line(self, note: str = "") -> str:
        """A line for a log, such as ``cache train: 40/200 images, 20%, 3.4/s, 47 s left``."""
        parts = [f"{self.what}: {self.done}" + (f"/{self.total}" if self.total else "") + f" {self.unit}"]
        if self.total:
            parts.append(f"{self.done / self.total:.0%}")
        new, seconds = self.done - self._before, time.monotonic() - self._began
        if new > 0 and seconds > 0:
            parts.append(_rate(new / seconds))
            if self.total:
                parts.append(f"{duration((self.total - self.done) * seconds / new)} left")
        return ", ".join([*parts, *([note] if note else [])])


@contextmanager
def working(what: str, *, console: Console | None = None, every: float = EVERY) -> Iterator[None]:
    """Show work without a count: a spinner on a terminal, or a line now and then with the time so far."""
    console = console or Console(stderr=True)
    if console.is_terminal:
        with console.status(what, spinner="dots" if console.encoding.startswith("utf") else "line"):
            yield
        return
    done, start = threading.Event(), time.monotonic()

    def report() -> None:
        while not done.wait(every):
            console.print(f"{what}: {duration(time.monotonic() - start)} so far", markup=False, soft_wrap=True)

    reporter = threading.Thread(target=report, daemon=True)
    reporter.start()
    try:
        yield
    finally:
        done.set()
        reporter.join()


def finished(what: str, where: object, seconds: float) -> None:
    """Print on standard output what was written, where, and how long it took."""
    print(f"{what}: {where} ({duration(seconds)})", flush=True)


@contextmanager
def resumable(where: object) -> Iterator[None]:
    """A context in which Ctrl-C loses nothing that is done, and says so."""
    try:
        yield
    except KeyboardInterrupt:
        print(f"stopped; what is done is kept, run the same command to continue in {where}", file=sys.stderr)
        raise


def duration(seconds: float) -> str:
    """Seconds in readable form: ``0.4 s``, ``12 s``, ``3 min 05 s``, ``2 h 10 min``."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def _rate(per_second: float) -> str:
    """As in ``3.4/s``, or the time of each for slow work."""
    return f"{per_second:.3g}/s" if per_second >= 0.5 else f"{duration(1 / per_second)} each"


class _Rate(ProgressColumn):
    """How many a second, of late."""

    def render(self, task: Task) -> Text:
        return Text(_rate(task.speed) if task.speed else "", style="progress.data.speed")


class _Bar(Progress):
    """A bar with its note on a line below, as both are too long for one line of a terminal."""

    def get_renderables(self) -> Iterable[RenderableType]:
        yield self.make_tasks_table(self.tasks)
        for task in self.tasks:
            if task.fields["note"]:
                utf = self.console.encoding.startswith("utf")
                yield Text(task.fields["note"], no_wrap=True, overflow="ellipsis" if utf else "crop")


def _rich_bar(console: Console) -> Progress:
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        _Rate(),
        TimeElapsedColumn(),
        TextColumn("elapsed"),
        TimeRemainingColumn(),
        TextColumn("left"),
    )
    return _Bar(*columns, console=console, transient=True)
