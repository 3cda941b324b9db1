"""The progress of a run on the terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from rich.console import Console

from argus_core.common.progress import ProgressBar

SMOOTH = 0.9
"""Weight of the earlier steps in the loss that is shown."""
SCORES = 6
"""Scores in the line of an evaluation, the primary one included."""
Losses = Mapping[str, Mapping[str, Mapping[str, float]]]
"""By head, by rate of its sweep: terms of the loss, their sum ``loss``, and ``lr``."""


class Reporter:
    """Shows nothing: for tests, and for all processes but the first."""

    def begin(self, start: int, total: int, steps_per_epoch: int) -> None:
        """Training starts at step ``start`` of ``total``."""

    def step(self, done: int, losses: Losses) -> None:
        """A step was finished by the heads that still train."""

    def evaluating(self, done: int, total: int) -> None:
        """So many images were scored."""

    def scored(self, done: int, total: int) -> None:
        """So many images were scored, and nothing else goes on."""

    def evaluated(
        self, head: str, weights: str, epoch: float, primary: str, metrics: Mapping[str, Any], best: bool, on: str
    ) -> None:
        """A head was scored ``on`` some images; ``best`` if no evaluation of it before was better."""

    def say(self, text: str) -> None:
        """A line for the reader."""

    def end(self) -> None:
        """Training is over or was interrupted."""


class ConsoleReporter(Reporter):
    """On standard error: a bar, or a line now and then in a log, and one line per evaluation."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, soft_wrap=True)
        self.bar: ProgressBar | None = None
        self.losses: dict[str, float] = {}
        self.epoch = 1

    def begin(self, start: int, total: int, steps_per_epoch: int) -> None:
        """Show the bar."""
        self.epoch, self.epochs = steps_per_epoch, math.ceil(total / steps_per_epoch)
        self._show("train", total, "steps", start)
        if start:
            self.say(f"resuming at step {start} of {total}")

    def step(self, done: int, losses: Losses) -> None:
        """Move the bar, with epoch, smoothed losses and rates."""
        for head, trials in losses.items():
            loss = min(values["loss"] for values in trials.values())
            self.losses[head] = SMOOTH * self.losses.get(head, loss) + (1 - SMOOTH) * loss
        if self.bar is not None:
            epoch = f"epoch {math.ceil(done / self.epoch)}/{self.epochs}"
            self.bar.update(done, ", ".join([epoch, *(self._head(name, trials) for name, trials in losses.items())]))

    def evaluating(self, done: int, total: int) -> None:
        """Show beside the bar that heads are being scored."""
        if self.bar is not None:
            self.bar.update(self.bar.done, f"scoring {done}/{total}")

    def scored(self, done: int, total: int) -> None:
        """Move a bar of images."""
        if self.bar is None:
            self._show("score", total, "images", 0)
        else:
            self.bar.update(done, total=total)

    def evaluated(
        self, head: str, weights: str, epoch: float, primary: str, metrics: Mapping[str, Any], best: bool, on: str
    ) -> None:
        """Print the primary score and some others."""
        self.say(score_line(head, weights, epoch, primary, metrics, best, on))

    def say(self, text: str) -> None:
        """A line above the bar, in one piece."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def end(self) -> None:
        """Remove the bar."""
        if self.bar is not None:
            self.bar.__exit__()
            self.bar = None

    def _show(self, what: str, total: int, unit: str, done: int) -> None:
        self.end()
        self.bar = ProgressBar(what, total, unit, done, console=self.console).__enter__()

    def _head(self, name: str, trials: Mapping[str, Mapping[str, float]]) -> str:
        rates = [values["lr"] for values in trials.values()]
        rate = f"lr {rates[0]:.2g}" if len(rates) == 1 else f"lr {min(rates):.2g} to {max(rates):.2g}"
        return f"{name} loss {self.losses[name]:.3g} {rate}"


def score_line(
    head: str, weights: str, epoch: float, primary: str, metrics: Mapping[str, Any], best: bool = False, on: str = ""
) -> str:
    """One line of an evaluation, such as ``epoch 3 fcos (ema) on 29 selection images: AP 0.2512, best so far``."""
    scores = [primary, *(key for key in metrics if key != primary and "/" not in key and metrics[key] is not None)]
    shown = [f"{key} {_number(metrics[key])}" for key in scores[:SCORES]]
    return f"epoch {epoch:.4g} {head} ({weights}){on and f' on {on}'}: " + ", ".join(
        [*shown, *(["best so far"] if best else [])]
    )


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4f}"
