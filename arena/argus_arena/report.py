"""What a run shows while it goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

if TYPE_CHECKING:
    from argus_arena.learner import Learner


class Reporter:
    """Says nothing: what tests and other processes than the first use."""

    def begin(self, start: int, total: int) -> None:
        """Training starts at step ``start`` of ``total``."""

    def step(self, done: int, learners: Sequence[Learner]) -> None:
        """A step was finished."""

    def evaluating(self, done: int, total: int) -> None:
        """So many images were scored."""

    def scored(self, done: int, total: int) -> None:
        """So many images were scored, and nothing else goes on."""

    def evaluated(self, head: str, weights: str, primary: str, metrics: Mapping[str, Any]) -> None:
        """A head was scored."""

    def end(self) -> None:
        """Training is over or was interrupted."""


class ConsoleReporter(Reporter):
    """A progress bar and a line per evaluation on standard error."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True)
        self.progress = progress_bar(self.console)
        self.task = self.progress.add_task("train", total=None)

    def begin(self, start: int, total: int) -> None:
        """Show the bar."""
        if start:
            self.console.print(f"resuming at step {start} of {total}")
        self.progress.reset(self.task, completed=start, total=total)
        self.progress.start()

    def step(self, done: int, learners: Sequence[Learner]) -> None:
        """Move the bar."""
        self.progress.update(self.task, completed=done, description="train")

    def evaluating(self, done: int, total: int) -> None:
        """Name the stage beside the bar."""
        self.progress.update(self.task, description=f"score {done}/{total}")

    def scored(self, done: int, total: int) -> None:
        """Move the bar."""
        self.progress.update(self.task, completed=done, total=total, description="score")

    def evaluated(self, head: str, weights: str, primary: str, metrics: Mapping[str, Any]) -> None:
        """Print the main score and what stands beside it."""
        shown = [f"{k} {v:.4f}" for k, v in metrics.items() if v is not None and "/" not in k]
        self.progress.console.print(f"{head} ({weights}): {', '.join(shown[:6])}")

    def end(self) -> None:
        """Remove the bar."""
        self.progress.stop()


def progress_bar(console: Console) -> Progress:
    """A bar with count, elapsed and remaining time, which goes when it is done."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console, transient=True)
