"""The progress of a stage on the terminal."""

from __future__ import annotations

import time
from collections.abc import Mapping

from argus_core.common.progress import ProgressBar

SMOOTH = 0.9
"""Weight of the earlier steps in the losses that are shown."""


class StageProgress:
    """A bar with steps, time left, images per second, and the smoothed loss of every teacher and token kind.

    In processes other than the first it shows nothing.
    """

    def __init__(self, stage: str, total: int, batch: int, shown: bool) -> None:
        self.stage, self.total, self.batch, self.shown = stage, total, batch, shown
        self.losses: dict[str, float] = {}
        self.seconds = 0.0
        self.bar: ProgressBar | None = None

    def begin(self, what: str, total: int, done: int = 0, unit: str = "steps") -> None:
        """Show a bar of some steps, or other units; another one before it is removed."""
        self.end()
        self._last, self.seconds = time.perf_counter(), 0.0
        if self.shown:
            self.bar = ProgressBar(f"{self.stage}: {what}", total, unit, done).__enter__()
            if done:
                self.bar.print(f"resuming {self.stage} at step {done} of {total}")

    def step(self, done: int, terms: Mapping[str, float]) -> None:
        """A step is done; ``terms`` are its losses by name, with the sum and the rate."""
        now = time.perf_counter()
        self.seconds = _smoothed(self.seconds, now - self._last)
        self._last = now
        for name, value in terms.items():
            self.losses[name] = _smoothed(self.losses.get(name, 0.0), value)
        if self.bar is not None:
            losses = ", ".join(
                f"{name} {value:.3f}" for name, value in self.losses.items() if name not in ("loss", "lr")
            )
            loss = f"loss {self.losses['loss']:.3f} ({losses}), lr {terms['lr']:.2g}, " if terms else ""
            self.bar.update(done, f"{loss}{self.batch / self.seconds:.0f} images/s")

    def count(self, done: int, note: str = "") -> None:
        """So much is done of what is not steps."""
        if self.bar is not None:
            self.bar.update(done, note)

    def rest(self) -> None:
        """What went on until now was no part of the next step."""
        self._last = time.perf_counter()

    def say(self, text: str) -> None:
        """A line for the reader."""
        if self.bar is not None:
            self.bar.print(text)
        elif self.shown:
            ProgressBar(self.stage).print(text)

    def end(self) -> None:
        """Remove the bar."""
        if self.bar is not None:
            self.bar.__exit__()
            self.bar = None


def _smoothed(before: float, value: float) -> float:
    return SMOOTH * before + (1 - SMOOTH) * value if before else value
