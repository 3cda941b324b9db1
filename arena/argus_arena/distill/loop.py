"""The loop of a stage: statistics of the teachers first, then steps, saved so that a killed run goes on as if whole."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from argus_arena.distill.objective import Answers, add_statistics, merged
from argus_arena.distill.optimise import StudentTrial
from argus_arena.distill.plan import StepPlan
from argus_arena.distill.probing import Probing, shown
from argus_arena.distill.record import STUDENT, StageLog
from argus_arena.distill.teachers import Seen, Teacher, answers_of
from argus_arena.distill.views import Views, view_batches
from argus_arena.distributed import Interrupted, interruptible
from argus_arena.run.folder import RunFolder
from argus_arena.training.checkpoints import Values
from argus_core.errors import ArgusError
from argus_core.saving.checkpoint import read_tensors


class StageLoop:
    """Runs one stage from where its folder has it to the end of its recipe."""

    def __init__(
        self,
        trial: StudentTrial,
        teachers: Mapping[str, Teacher],
        views: Views,
        folder: RunFolder,
        log: StageLog,
        probing: Probing,
        workers: int = 0,
    ) -> None:
        self.trial, self.teachers, self.views, self.folder, self.log = trial, teachers, views, folder, log
        self.probing, self.progress = probing, probing.progress
        self.process, self.distillation = trial.process, trial.distillation
        self.scores: Values = {}
        self.workers, self.save_every = workers, views.plan.stage.save_every

    def run(self, statistics_steps: int) -> dict[str, Values]:
        """Train to the end; raises Interrupted, with the state saved, after Ctrl-C.

        Returns the scores of the probes, of what learnt as ``student`` and of the teachers by their names.
        """
        start, steps = self._resume(), self.trial.steps
        teachers = self.probing.teachers(self.teachers)
        if start is None:
            for name, scores in teachers.items():
                self.log.scores(0, f"teacher {name}", scores)
            self._take_statistics(min(statistics_steps, self.trial.steps))
            self.trial.begin(self.trial.only)
            self._probe(0, teachers)
        self.progress.begin("train", steps, start or 0)
        self._train(range(start or 0, steps), teachers)
        # Those of the last step, unless that was done before: then nothing was left to probe.
        final = self.scores or self.probing.score(self.trial.result.student, self.probing.probes)
        return {**teachers, STUDENT: final}

    def _take_statistics(self, count: int) -> None:
        """Freeze the teachers' normalisation by the views of the first steps; no step is taken."""
        if self.distillation.measure.scheme == "none":
            return
        self.progress.begin("statistics of the teachers", count)
        total = self.distillation.no_statistics()
        with view_batches(self.views, range(count), self.workers) as batches:
            for step, parts in zip(range(count), batches, strict=True):
                plan = self.views.plan.whole(step)
                for seen in parts:
                    total = add_statistics(total, self._aligned(seen.to(self.process.device), plan, step))
                self.progress.step(step + 1, {})
        self.distillation.freeze(merged(self.process.gather(total)))

    def _train(self, steps: range, teachers: Mapping[str, Values]) -> None:
        reading = view_batches(self.views, steps, self.workers)
        with interruptible(self.process) as interrupted, reading as batches:
            for step, parts in zip(steps, batches, strict=True):
                # Noise inside the network depends on the step and the process alone.
                torch.manual_seed((self.views.order.seed * 1_000_003 + step) * self.process.size + self.process.rank)
                terms = self.trial.learn(step, self._pairs(parts, step), len(parts))
                self._check(terms, step)
                self.progress.step(step + 1, terms)
                self.log.losses(step + 1, self.trial.steps, terms)
                if self.probing.due(step + 1, self.trial.steps):
                    batches.settle()
                    self._probe(step + 1, teachers)
                stop = self.process.any_process(interrupted.is_set())
                if stop or self._saves(step + 1):
                    self._save(step + 1)
                if stop:
                    raise Interrupted

    def _pairs(self, parts: list[Seen], step: int) -> Iterator[tuple[Tensor, Answers]]:
        """The student's images and its targets, one batch after the other."""
        plan = self.views.plan.at(step)
        for seen in (part.to(self.process.device) for part in parts):
            with torch.no_grad():
                targets = self.distillation.normalized(self._aligned(seen, plan, step))
            yield seen.crops[plan.student], targets

    def _aligned(self, seen: Seen, plan: StepPlan, step: int) -> Answers:
        return self.distillation.aligned(answers_of(self.teachers, seen, plan, step), plan.student)

    def _check(self, terms: Mapping[str, float], step: int) -> None:
        bad = [name for name, value in terms.items() if not math.isfinite(value) and name != "loss"]
        if bad or not math.isfinite(terms["loss"]):
            raise ArgusError(
                f"the loss of {', '.join(bad) or 'all teachers'} is not finite at step {step}, although the teachers' "
                "answers are: the student diverged; try a smaller lr, or a longer warmup"
            )

    def _saves(self, done: int) -> bool:
        return done == self.trial.steps or done % self.save_every == 0

    def _probe(self, done: int, teachers: Mapping[str, Values]) -> None:
        """Score the student by the probes that are due, and tell it beside the teachers' scores."""
        due = self.probing.due(done, self.trial.steps)
        if not due:
            return
        self.scores = self.probing.score(self.trial.result.student, due)
        self.log.scores(done, "live" if self.trial.average is None else "ema", self.scores)
        self.progress.say(f"{self.progress.stage}, step {done}: {shown(self.scores, teachers)}")
        self.progress.rest()

    def _save(self, done: int) -> None:
        if self.process.main or self.trial.divided:
            tensors = self.trial.state()
        if self.process.main:
            self.folder.save_state(done, {}, tensors)

    def _resume(self) -> int | None:
        """The step to continue at, or None for a fresh run."""
        state = self.folder.load_state() if self.process.main else None
        step: int | None = self.process.gather(state and state[0])[0]
        if step is not None:
            # Every process reads the file: a large network would take long from one to the other.
            tensors = state[2] if state else read_tensors(self.folder.state)[1]
            self.trial.load(tensors, self.trial.only)
        return step
