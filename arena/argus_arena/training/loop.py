"""The one training loop: any heads, side by side, on one read of each batch."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from argus_arena.distributed import Distributed, Interrupted, interruptible
from argus_arena.progress import Reporter
from argus_arena.run.batches import FitBatches, step_batches
from argus_arena.run.context import Setting
from argus_arena.run.folder import RunFolder
from argus_arena.scoring.evaluate import evaluate
from argus_arena.training.checkpoints import Checkpoints, finite
from argus_arena.training.evaluations import evaluation_steps
from argus_arena.training.learner import Learner
from argus_arena.training.trial import under
from argus_core.errors import ArgusError
from argus_core.registry.loading import debugging, home_of, told
from argus_core.saving.checkpoint import load_state
from argus_core.tokens import Tokens


class Loop:
    """Runs learners from where the run folder says they are to the end of their recipes."""

    def __init__(
        self,
        setting: Setting,
        learners: Sequence[Learner],
        folder: RunFolder,
        process: Distributed,
        reporter: Reporter,
    ) -> None:
        self.setting, self.learners, self.folder = setting, learners, folder
        self.process, self.reporter = process, reporter
        self.checkpoints = Checkpoints(setting, folder, process, reporter)
        self.total = max(learner.steps for learner in learners)
        self.read_seconds = 0.0
        per_epoch, every = setting.order.steps_per_epoch, setting.request.eval_every
        self.evaluations = {
            one.name: evaluation_steps(one.phases, one.recipe, per_epoch, every) for one in self.learners
        }

    def run(self) -> None:
        """Train to the end; raises Interrupted, with the state saved, after Ctrl-C."""
        start = self._resume()
        self.reporter.begin(start or 0, self.total, self.setting.order.steps_per_epoch)
        if start is None:
            start = self._start()
        if self._all_failed():
            return
        tasks = {head.task.name: head.task for head in self.setting.heads.values() if head.trained}
        steps, workers = range(start, self.total), self.setting.request.workers
        batches = step_batches(self.setting.training, tasks, steps, workers, self.process)
        with interruptible(self.process) as interrupted:
            began = time.perf_counter()
            for step, (tokens, targets) in zip(steps, batches, strict=True):
                self.read_seconds += time.perf_counter() - began
                self._train(step, tokens, targets)
                self._evaluate(step + 1)
                begun = self._begin_stages(step + 1)
                stop = self.process.agree(interrupted.is_set())
                ended = self._all_failed()
                if stop or begun or ended or self._saves(step + 1):
                    self._save(step + 1)
                if stop:
                    raise Interrupted
                if ended:
                    return
                began = time.perf_counter()

    def _all_failed(self) -> bool:
        return all(learner.failure for learner in self.learners)

    def _active(self, step: int) -> list[Learner]:
        return [learner for learner in self.learners if not learner.failure and step < learner.steps]

    def _start(self) -> int:
        """Fit what is fitted, and score heads that take no steps: they are done before the first one."""
        for learner in self.learners:
            with self._contained(learner, 0):
                batch, device = learner.recipe.batch, self.process.device
                learner.start(FitBatches(self.setting.training, learner.head, batch, device))
        done = [learner for learner in self.learners if not learner.steps and not learner.failure]
        self._score(done, 0)
        if done:
            self._save(0)
        return 0

    def _train(self, step: int, tokens: Tokens, targets: Mapping[str, Sequence[Any]]) -> None:
        shown: dict[str, dict[str, dict[str, float]]] = {}
        for learner in self._active(step):
            found: dict[str, dict[str, float]] = {}
            with self._contained(learner, step):
                found = learner.step(step, tokens, targets[learner.head.task.name])
            shown |= {learner.name: found} if found else {}
            for label, values in found.items():
                if self._logs(step + 1) or not math.isfinite(values["loss"]):
                    self.checkpoints.log(
                        learner.name, step + 1, {**({"trial": label} if label else {}), **finite(values)}
                    )
        self.reporter.step(step + 1, shown)

    @contextmanager
    def _contained(self, learner: Learner, step: int) -> Iterator[None]:
        """Let a head whose code raises, sys.exit included, stop alone where others run beside it.

        One by itself ends the run, which can go on where it was once the code is mended. ARGUS_DEBUG=1 raises as it is.
        """
        try:
            yield
        except (Exception, SystemExit) as error:
            # Other processes wait for each other's numbers: there a fault must end them all.
            if self.process.size > 1 or debugging():
                raise
            reason = str(error)
            if not isinstance(error, ArgusError):
                place = told(error, home_of(type(learner.head)))
                reason = f"{place}; `arena check` may tell more, and ARGUS_DEBUG=1 the traceback"
            if len(self.learners) == 1:
                raise ArgusError(f"head {learner.name!r} at step {step}: {reason}") from error
            learner.fail(f"step {step}: {reason}")

    def _begin_stages(self, done: int) -> bool:
        """Start the stages that begin at step ``done``, from the best weights so far; whether there was one.

        The state is saved right after, so that a resumed run never takes weights that became best later.
        """
        starting = [(one, phase) for one in self._active(done) if (phase := one.phase_starting_at(done))]
        for learner, phase in starting:
            load_state(learner.head, self.checkpoints.best(learner), "the best weights so far")
            learner.begin(phase)
        return bool(starting)

    def _evaluate(self, done: int) -> None:
        self._score([learner for learner in self._active(done - 1) if self._due(learner, done)], done)

    def _score(self, due: Sequence[Learner], done: int) -> None:
        heads = {f"{one.name}/{variant}": head for one in due for variant, head in one.variants().items()}
        if not heads:
            return
        try:
            metrics = evaluate(
                heads, self.setting.scoring, self.process, self.setting.request.eval_batch, self.reporter.evaluating
            )
        except (Exception, SystemExit):
            if len(due) == 1:
                with self._contained(due[0], done):
                    raise
                return
            for learner in due:  # one by one, so that the one that raises is known
                self._score([learner], done)
            return
        for learner in due:
            self.checkpoints.judge(learner, done, {v: metrics[f"{learner.name}/{v}"] for v in learner.variants()})

    def finish(self) -> None:
        """Write the last weights of every head that did not fail."""
        for learner in self.learners:
            if not learner.failure:
                variant = learner.last(self.checkpoints.scores[learner.name]["best"]["variant"])
                self.checkpoints.write(learner, "last", {"step": learner.steps, "variant": variant})

    def _due(self, learner: Learner, done: int) -> bool:
        return done in self.evaluations[learner.name]

    def _saves(self, done: int) -> bool:
        return done == self.total or done % (self.setting.request.save_every or self.setting.order.steps_per_epoch) == 0

    def _logs(self, done: int) -> bool:
        return done == 1 or done % 10 == 0

    def _save(self, done: int) -> None:
        if not self.process.main:
            return
        tensors = {f"{one.name}/{k}": v for one in self.learners for k, v in one.state().items()}
        failures = {
            one.name: {"": one.failure, **{trial.label: trial.failure for trial in one.trials}} for one in self.learners
        }
        scores = {"heads": self.checkpoints.scores, "failures": failures, "read_seconds": self.read_seconds}
        self.folder.save_state(done, scores, tensors)

    def _resume(self) -> int | None:
        """The step to continue at, or None for a fresh run."""
        saved = self.folder.load_state() if self.process.main else None
        saved = self.process.gather(saved)[0]
        if saved is None:
            return None
        step, scores, tensors = saved
        self.checkpoints.scores, self.read_seconds = scores["heads"], scores.get("read_seconds", 0.0)
        for learner in self.learners:
            failures = scores["failures"][learner.name]
            learner.failure = failures[""]
            learner.load(under(tensors, f"{learner.name}/"), step, failures)
            if not learner.steps:
                load_state(learner.head, self.checkpoints.best(learner), "the best weights so far")
        return step
