"""One head while it learns: solved in closed form, then trained along its recipe, at one peak rate or at several."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from argus_arena.distributed import Distributed
from argus_arena.run.phases import Phase, phases
from argus_arena.training.trial import Trial, without_prefix
from argus_core.errors import ArgusError
from argus_core.head import Head
from argus_core.recipe import Recipe
from argus_core.tokens import Features, Tokens


class Learner:
    """Trains one head step by step; every step depends only on its index, the batch and the state before it.

    A sweep's trials take the same steps on the same features, each with a peak rate of its own.
    """

    def __init__(
        self, name: str, head: Head, recipe: Recipe, steps_per_epoch: int, seed: int, process: Distributed
    ) -> None:
        if recipe.sweep and recipe.stages:
            raise ArgusError(f"head {name!r}: a sweep of rates cannot have further stages; drop sweep or stages")
        self.name, self.recipe, self.seed, self.process = name, recipe, seed, process
        self.head = head.to(process.device)
        self.phases = phases(recipe, steps_per_epoch) if head.trained else []
        self.steps_per_epoch = steps_per_epoch
        self.steps = self.phases[-1].start + self.phases[-1].steps if self.phases else 0
        self.trials: list[Trial] = []
        self.seconds = 0.0
        self.failure = ""

    def start(self, batches: Iterable[tuple[Features, Sequence[Any]]]) -> None:
        """Fit what is solved in closed form, and begin the first phase."""
        if self.head.fitted:
            began = time.perf_counter()
            self.head.fit(batches)
            self.seconds += time.perf_counter() - began
        self._make_trials()
        for trial in self.trials:
            trial.begin(self.phases[0])

    def fail(self, reason: str) -> None:
        """Stop for good; the best weights so far stay."""
        self.failure = reason
        for trial in self.trials:
            trial.failure = trial.failure or reason

    def begin(self, phase: Phase) -> None:
        """A further stage, with a fresh optimiser and average."""
        for trial in self.trials:
            trial.begin(phase)

    @property
    def epochs(self) -> float:
        """Length of the whole training."""
        return round(self.steps / self.steps_per_epoch, 3)

    def phase_starting_at(self, step: int) -> Phase | None:
        """The further stage that begins at ``step``, if one does."""
        return next((phase for phase in self.phases[1:] if phase.start == step), None)

    def step(self, step: int, tokens: Tokens, targets: Sequence[Any]) -> dict[str, dict[str, float]]:
        """One optimiser step of every trial; returns loss terms and rate, by label, of those still running.

        A trial whose loss is not finite stops; the head fails when none is left.
        """
        began = time.perf_counter()
        features, terms = tokens.features(self.head.needs), {}
        for trial in self.running():
            # Noise inside a head depends on the step and the process, not on the head's neighbours.
            torch.manual_seed((self.seed * 1_000_003 + step) * self.process.size + self.process.rank)
            terms[trial.label] = self.process.mean(trial.step(step, features, targets))
            loss = terms[trial.label]["loss"]
            if not math.isfinite(loss):
                trial.failure = f"the loss became {loss} at step {step}; try a smaller lr"
                self.failure = "" if self.running() else trial.failure
        self.seconds += time.perf_counter() - began
        return terms

    def running(self) -> list[Trial]:
        """The trials that have not failed."""
        return [trial for trial in self.trials if not trial.failure]

    def variants(self) -> dict[str, Head]:
        """The weights to evaluate, by name: ``live`` alone for a head without gradients."""
        if not self.trials:
            return {"live": self.head}
        return {name: head for trial in self.running() for name, head in trial.variants().items()}

    def weights(self, variant: str) -> Head:
        """The weights of a variant, also of a trial that has stopped."""
        return {name: head for trial in self.trials for name, head in trial.variants().items()}.get(variant, self.head)

    def newest(self) -> str:
        """The variant that is taken where nothing is chosen: averaged weights where there are any."""
        return list(self.variants())[-1]

    def last(self, best: str) -> str:
        """The variant whose last weights are kept: unaveraged, and of the best rate of a sweep."""
        return best.removesuffix(" ema") if self.recipe.sweep else "live"

    def state(self) -> dict[str, Tensor]:
        """Everything a resumed run needs of this head, as tensors by name; its best weights are enough otherwise."""
        tensors = {f"{n}.{key}": value for n, trial in enumerate(self.trials) for key, value in trial.state().items()}
        return {**tensors, "seconds": torch.tensor(self.seconds, dtype=torch.float64)}

    def load(self, tensors: Mapping[str, Tensor], step: int, failures: Mapping[str, str]) -> None:
        """Continue from ``state`` saved before 0-based ``step``; a stage that starts there has begun."""
        self._make_trials()
        for number, trial in enumerate(self.trials):
            phase = next(p for p in reversed(self.phases) if p.start <= step)
            trial.load(without_prefix(tensors, f"{number}."), phase)
            trial.failure = failures.get(trial.label, "")
        self.seconds = float(tensors["seconds"])

    def _make_trials(self) -> None:
        """A trial per rate; all start from the same weights."""
        if not self.phases:
            return
        rates = list(dict.fromkeys((self.recipe.lr, *self.recipe.sweep)))
        labels = [f"lr={rate:g}" for rate in rates] if len(rates) > 1 else [""]
        heads = [self.head, *(copy.deepcopy(self.head) for _ in rates[1:])]
        self.trials = [
            Trial(label, rate / self.recipe.lr, head, self.recipe, self.process)
            for label, rate, head in zip(labels, rates, heads, strict=True)
        ]
