"""The one training loop: any heads, side by side, on one read of each batch."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from argus_arena.distributed import Interrupted, interruptible
from argus_arena.run.batches import FitBatches, TrainingData, batch_to, step_batches
from argus_arena.run.phases import evaluation_steps
from argus_arena.scoring.calibrate import calibrate
from argus_arena.scoring.evaluate import evaluate
from argus_arena.scoring.rules import Scoring
from argus_arena.training.checkpoints import Checkpoints, finite
from argus_arena.training.learner import Learner
from argus_arena.training.trial import without_prefix
from argus_core.errors import ArgusError
from argus_core.head import Head
from argus_core.registry.loading import debugging, describe_error, home_of
from argus_core.saving.checkpoint import load_state
from argus_core.tasks import Metric
from argus_core.tokens import Tokens

CHOSEN = "chosen"
"""The name of the weights that are scored in the end."""


@dataclass(frozen=True)
class LoopOptions:
    """How a loop reads, scores and saves: see the fields of ``RunRequest`` with these names."""

    workers: int = 0
    eval_every: float = 0.0
    eval_batch: int = 8
    save_every: int = 0


class Loop:
    """Runs learners from where the run folder has them to the end of their recipes."""

    def __init__(
        self,
        learners: Sequence[Learner],
        data: TrainingData,
        scoring: Scoring,
        checkpoints: Checkpoints,
        options: LoopOptions,
    ) -> None:
        self.learners, self.data, self.scoring, self.selection = learners, data, scoring, checkpoints.selection
        self.checkpoints, self.options = checkpoints, options
        self.process, self.reporter, self.folder = checkpoints.process, checkpoints.reporter, checkpoints.folder
        self.total, self.done = max(learner.steps for learner in learners), 0
        self.read_seconds = 0.0
        self.evaluations = {learner.name: self._evaluations(learner) for learner in learners}

    def run(self) -> None:
        """Train to the end; raises Interrupted, with the state saved, after Ctrl-C."""
        start = self._resume()
        self.done = start or 0
        self.reporter.begin(start or 0, self.total, self.data.order.steps_per_epoch)
        if start is None:
            self._start()
        if not self._all_failed():
            self._run_steps(range(start or 0, self.total))

    def finish(self) -> None:
        """Write the last weights of every head that did not fail, and score the chosen ones of all, once."""
        for learner in self.learners:
            if not learner.failure:
                self.checkpoints.write_last(learner)
        scores = self.checkpoints.scores
        due = [each for each in self.learners if "best" in scores[each.name] and "reported" not in scores[each.name]]
        chosen = {learner.name: self._chosen(learner) for learner in due}
        self._calibrate(due, chosen)
        for learner, metrics in self._metrics(due, self.scoring, lambda each: {CHOSEN: chosen[each.name]}, self.done):
            self.checkpoints.reported(learner, metrics[CHOSEN], self.scoring)
        if due:
            self._save(self.done)
        for learner in self.learners:
            if "reported" in scores[learner.name]:
                self.checkpoints.log_reported(learner, self.scoring)

    def _chosen(self, learner: Learner) -> Head:
        """The chosen weights, in a head of their own, as the last ones may still be asked for."""
        if not learner.trials:
            return learner.head
        head = copy.deepcopy(learner.head)
        load_state(head, self.checkpoints.best(learner), "the chosen weights")
        return head

    def _calibrate(self, due: Sequence[Learner], chosen: Mapping[str, Head]) -> None:
        """Calibrate chosen weights on the training images that they were chosen on."""
        heads = {learner.name: chosen[learner.name] for learner in due}
        fitted = [learner.name for learner in due if self.checkpoints.chooses(learner)]
        apart = self.selection if self.selection is not self.scoring else None
        try:
            found = calibrate(heads, fitted, apart, self.scoring, self.process, self.options.eval_batch)
        except (Exception, SystemExit) as error:
            if self.process.size > 1 or debugging():
                raise
            for learner in due if len(due) > 1 else ():
                self._calibrate([learner], chosen)
            if len(due) == 1:
                reason = str(error) if isinstance(error, ArgusError) else repr(error)
                self.reporter.say(f"{due[0].name}: its confidences could not be looked at: {reason}")
            return
        for learner in due:
            if learner.name in found:
                self.checkpoints.calibrated(learner, heads[learner.name], found[learner.name])

    def _evaluations(self, learner: Learner) -> frozenset[int]:
        """After which steps a head is scored, or without a choice only kept, as at the end of every phase."""
        if not self.checkpoints.chooses(learner):
            return frozenset(phase.start + phase.steps for phase in learner.phases)
        steps = self.data.order.steps_per_epoch
        return evaluation_steps(learner.phases, learner.recipe, steps, self.options.eval_every)

    def _run_steps(self, steps: range) -> None:
        tasks = {learner.head.task.name: learner.head.task for learner in self.learners if learner.head.trained}
        reading, before = step_batches(self.data, tasks, steps, self.options.workers, self.process), self.read_seconds
        with interruptible(self.process) as interrupted, reading as batches:
            for step, batch in zip(steps, batches, strict=True):
                self._train(step, *batch_to(batch, self.process.device))
                self.done = step + 1
                if due := self._due(step + 1):
                    batches.settle()  # scoring reads the data set too, which need not be safe to read from two threads
                    self._score(due, step + 1)
                self.read_seconds = before + batches.waited
                begun = self._begin_stages(step + 1)
                stop = self.process.any_process(interrupted.is_set())
                ended = self._all_failed()
                if stop or begun or ended or self._saves(step + 1):
                    self._save(step + 1)
                if stop:
                    raise Interrupted
                if ended:
                    return

    def _all_failed(self) -> bool:
        return all(learner.failure for learner in self.learners)

    def _active(self, step: int) -> list[Learner]:
        return [learner for learner in self.learners if not learner.failure and step < learner.steps]

    def _start(self) -> None:
        """Fit what is fitted and score where training starts; heads that take no steps are done with that."""
        for learner in self.learners:
            with self._contained(learner, 0):
                learner.start(FitBatches(self.data, learner.head, learner.recipe.batch, self.process))
        solved = [each for each in self.learners if (each.head.fitted or not each.steps) and not each.failure]
        self._score(solved, 0)
        if solved:
            self._save(0)

    def _train(self, step: int, tokens: Tokens, targets: Mapping[str, Sequence[Any]]) -> None:
        losses: dict[str, dict[str, dict[str, float]]] = {}
        for learner in self._active(step):
            by_trial: dict[str, dict[str, float]] = {}
            with self._contained(learner, step):
                by_trial = learner.step(step, tokens, targets[learner.head.task.name])
            if by_trial:
                losses[learner.name] = by_trial
            for label, values in by_trial.items():
                if self._logs(step + 1) or not math.isfinite(values["loss"]):
                    trial = {"trial": label} if label else {}
                    self.checkpoints.log(learner.name, step + 1, {**trial, **finite(values)})
        self.reporter.step(step + 1, losses)

    @contextmanager
    def _contained(self, learner: Learner, step: int) -> Iterator[None]:
        """Stop a head whose code raises, even SystemExit, while the other heads of the run go on.

        A head that trains alone ends the run, which can be continued once the code is fixed. With ARGUS_DEBUG=1 the
        error is raised as it is.
        """
        try:
            yield
        except (Exception, SystemExit) as error:
            # Other processes wait for each other's numbers: there a fault must end them all.
            if self.process.size > 1 or debugging():
                raise
            reason = str(error)
            if not isinstance(error, ArgusError):
                place = describe_error(error, home_of(type(learner.head)))
                reason = f"{place}; `arena check` may tell more, and ARGUS_DEBUG=1 the traceback"
            if len(self.learners) == 1:
                raise ArgusError(f"head {learner.name!r} at step {step}: {reason}") from error
            learner.fail(f"step {step}: {reason}")

    def _begin_stages(self, done: int) -> bool:
        """Start the stages that begin at step ``done``, from the best weights so far; whether there was one.

        The state is saved right after, so that a resumed run never takes weights that became best later.
        """
        starting = [(learner, phase) for learner in self._active(done) if (phase := learner.phase_starting_at(done))]
        for learner, phase in starting:
            load_state(learner.head, self.checkpoints.best(learner), "the best weights so far")
            learner.begin(phase)
        return bool(starting)

    def _due(self, done: int) -> list[Learner]:
        return [learner for learner in self._active(done - 1) if done in self.evaluations[learner.name]]

    def _score(self, due: Sequence[Learner], done: int) -> None:
        """Score the heads that are chosen among, and keep the weights of the others."""
        for learner in due:
            if not self.checkpoints.chooses(learner):
                self.checkpoints.keep(learner, done)
        if self.selection is not None:
            chosen = [learner for learner in due if self.checkpoints.chooses(learner)]
            for learner, metrics in self._metrics(chosen, self.selection, Learner.variants, done):
                self.checkpoints.evaluated(learner, done, metrics)

    def _metrics(
        self, due: Sequence[Learner], scoring: Scoring, weights: Callable[[Learner], Mapping[str, Head]], done: int
    ) -> list[tuple[Learner, dict[str, Metric]]]:
        """The filled metrics of some weights of the heads that can be scored, by learner and name of the weights."""
        own = {learner.name: weights(learner) for learner in due}
        heads = {f"{name}/{variant}": head for name, each in own.items() for variant, head in each.items()}
        if not heads:
            return []
        try:
            metrics = evaluate(heads, scoring, self.process, self.options.eval_batch, self.reporter.evaluating)
        except (Exception, SystemExit):
            if len(due) == 1:
                with self._contained(due[0], done):
                    raise
                return []
            # One by one, so that the one that raises is known.
            return [pair for learner in due for pair in self._metrics([learner], scoring, weights, done)]
        return [(each, {variant: metrics[f"{each.name}/{variant}"] for variant in own[each.name]}) for each in due]

    def _saves(self, done: int) -> bool:
        return done == self.total or done % (self.options.save_every or self.data.order.steps_per_epoch) == 0

    def _logs(self, done: int) -> bool:
        return done == 1 or done % 10 == 0

    def _save(self, done: int) -> None:
        if not self.process.main:
            return
        tensors = {
            f"{learner.name}/{key}": value for learner in self.learners for key, value in learner.state().items()
        }
        failures = {
            learner.name: {"": learner.failure, **{trial.label: trial.failure for trial in learner.trials}}
            for learner in self.learners
        }
        scores = {"heads": self.checkpoints.scores, "failures": failures, "read_seconds": self.read_seconds}
        self.folder.save_state(done, scores, tensors)

    def _resume(self) -> int | None:
        """The step to continue at, or None for a fresh run."""
        state = self.folder.load_state() if self.process.main else None
        state = self.process.gather(state)[0]
        if state is None:
            return None
        step, scores, tensors = state
        self.checkpoints.scores, self.read_seconds = scores["heads"], scores.get("read_seconds", 0.0)
        for learner in self.learners:
            failures = scores["failures"][learner.name]
            learner.failure = failures[""]
            learner.load(without_prefix(tensors, f"{learner.name}/"), step, failures)
            if not learner.steps:
                load_state(learner.head, self.checkpoints.best(learner), "the best weights so far")
        return step
