"""The one training loop: any heads, side by side, on one read of each batch."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from argus_arena.evaluate import evaluate
from argus_arena.learner import Learner
from argus_arena.order import Order
from argus_arena.report import Reporter
from argus_arena.run import RunFolder
from argus_arena.setting import Setting
from argus_arena.world import World
from argus_core.checkpoint import load_state, read_tensors, save_head
from argus_core.tasks.base import Metric, Task
from argus_core.tokens import Tokens

Batch = tuple[Tokens, dict[str, list[Any]]]


class Interrupted(Exception):
    """Ctrl-C arrived; the state was saved."""


class Steps(Dataset[Batch]):
    """The batch of each training step: tokens, and the targets of every task."""

    def __init__(self, setting: Setting, order: Order, tasks: Mapping[str, Task], world: World) -> None:
        self.setting, self.order, self.tasks, self.world = setting, order, tasks, world

    def __getitem__(self, step: int) -> Batch:
        items = self.order.items(step)[self.world.rank :: self.world.size]
        source, split = self.setting.train_source, self.setting.train_split
        tokens = source.read(items)  # first, so that a live source knows the images' sizes
        places = [source.placement(item) for item in items]
        targets = {
            name: [
                task.target(split.truth(index, name), place) for (index, _), place in zip(items, places, strict=True)
            ]
            for name, task in self.tasks.items()
        }
        return tokens, targets


class Loop:
    """Runs learners from where the run folder says they are to the end of their recipes."""

    def __init__(
        self,
        setting: Setting,
        learners: Sequence[Learner],
        folder: RunFolder,
        world: World,
        reporter: Reporter,
    ) -> None:
        self.setting, self.learners, self.folder, self.world, self.reporter = (
            setting,
            learners,
            folder,
            world,
            reporter,
        )
        self.order = setting.order
        self.total = max(learner.steps for learner in learners)
        self.scores: dict[str, dict[str, Any]] = {learner.name: {"evaluations": 0} for learner in learners}
        self.read_seconds = 0.0

    def run(self) -> None:
        """Train to the end; raises Interrupted, with the state saved, after Ctrl-C."""
        start = self._resume()
        self.reporter.begin(start, self.total)
        if self._all_failed():
            return
        with _interruptible(self.world) as interrupted:
            began = time.perf_counter()
            for step, (tokens, targets) in zip(range(start, self.total), self._batches(start), strict=True):
                self.read_seconds += time.perf_counter() - began
                self._train(step, tokens, targets)
                self._evaluate(step + 1)
                begun = self._begin_stages(step + 1)
                stop = self.world.agree(interrupted.is_set())
                ended = self._all_failed()
                if stop or begun or ended or self._saves(step + 1):
                    self._save(step + 1)
                if stop:
                    raise Interrupted
                if ended:
                    return
                began = time.perf_counter()

    def _batches(self, start: int) -> Iterator[Batch]:
        tasks = {learner.head.task.name: learner.head.task for learner in self.learners}
        steps = Steps(self.setting, self.order, tasks, self.world)
        workers = self.setting.request.workers
        # The samples are whole batches already, made by step, so that any step can be the first.
        loader: DataLoader[Batch] = DataLoader(
            steps, batch_size=None, sampler=range(start, self.total), num_workers=workers
        )
        device = self.world.device
        for tokens, targets in loader:
            yield tokens.to(device), {name: [t.to(device) for t in found] for name, found in targets.items()}

    def _all_failed(self) -> bool:
        return all(learner.failure for learner in self.learners)

    def _active(self, step: int) -> list[Learner]:
        return [learner for learner in self.learners if not learner.failure and step < learner.steps]

    def _train(self, step: int, tokens: Tokens, targets: Mapping[str, Sequence[Any]]) -> None:
        for learner in self._active(step):
            values = self.world.mean(learner.step(step, tokens, targets[learner.head.task.name]))
            if not math.isfinite(values["loss"]):
                learner.failure = f"the loss became {values['loss']} at step {step}; try a smaller lr"
            if self._logs(step + 1) or learner.failure:
                self._log({"step": step + 1, "head": learner.name, "epoch": self._epoch(step + 1), **_finite(values)})
        self.reporter.step(step + 1, self.learners)

    def _begin_stages(self, done: int) -> bool:
        """Start the stages that begin at step ``done``, from the best weights so far; whether there was one.

        The state is saved right after, so that a resumed run never takes weights that became best later.
        """
        starting = [(one, phase) for one in self._active(done) if (phase := one.phase_starting_at(done))]
        for learner, phase in starting:
            load_state(learner.head, self._best(learner), "the best weights so far")
            learner.begin(phase)
        return bool(starting)

    def _evaluate(self, done: int) -> None:
        due = [learner for learner in self._active(done - 1) if self._due(learner, done)]
        heads = {f"{one.name}/{variant}": head for one in due for variant, head in one.variants().items()}
        if not heads:
            return
        source, split = self.setting.val_source, self.setting.val_split
        request, world = self.setting.request, self.world
        metrics = evaluate(heads, source, split, world, request.eval_batch, request.metric, self.reporter.evaluating)
        for learner in due:
            self._judge(learner, done, {v: metrics[f"{learner.name}/{v}"] for v in learner.variants()})

    def _judge(self, learner: Learner, done: int, metrics: Mapping[str, Metric]) -> None:
        score = self.scores[learner.name]
        score["evaluations"] += 1
        for variant, metric in metrics.items():
            values = _finite(metric.compute())
            score["last"] = {"step": done, "variant": variant, "metrics": values}
            self._log(
                {
                    "step": done,
                    "head": learner.name,
                    "epoch": self._epoch(done),
                    "weights": variant,
                    "eval": values,
                }
            )
            self.reporter.evaluated(learner.name, variant, metric.primary, values)
            if _better(values[metric.primary], score.get("best"), metric):
                score["best"] = score["last"]
                self._write(learner, "best", score["best"])

    def _write(self, learner: Learner, which: str, weights: Mapping[str, Any]) -> None:
        if self.world.main:
            path, variant = self.folder.weights(learner.name, which), weights["variant"]
            record = {**self.setting.record, "weights": weights}
            save_head(path, learner.head, record, learner.variants()[variant].state_dict())

    def finish(self) -> None:
        """Write the last weights of every head that did not fail."""
        for learner in self.learners:
            if not learner.failure:
                self._write(learner, "last", {"step": learner.steps, "variant": "live"})

    def _best(self, learner: Learner) -> Mapping[str, Tensor]:
        self.world.barrier()
        return read_tensors(self.folder.weights(learner.name, "best"))[1]

    def _due(self, learner: Learner, done: int) -> bool:
        ends = {phase.start + phase.steps for phase in learner.phases}
        return done in ends or done % self.setting.eval_steps(learner.steps) == 0

    def _saves(self, done: int) -> bool:
        return done == self.total or done % (self.setting.request.save_every or self.order.steps_per_epoch) == 0

    def _logs(self, done: int) -> bool:
        return done == 1 or done % 10 == 0

    def _epoch(self, done: int) -> float:
        return round(done / self.order.steps_per_epoch, 3)

    def _log(self, record: dict[str, Any]) -> None:
        if self.world.main:
            self.folder.append(record)
            self.setting.plugins.tell("arena_logged", run=self.folder.path, record=record)

    def _save(self, done: int) -> None:
        if not self.world.main:
            return
        tensors = {f"{one.name}/{k}": v for one in self.learners for k, v in one.state().items()}
        failures = {learner.name: learner.failure for learner in self.learners}
        scores = {"heads": self.scores, "failures": failures, "read_seconds": self.read_seconds}
        self.folder.save_state(done, scores, tensors)

    def _resume(self) -> int:
        saved = self.folder.load_state() if self.world.main else None
        saved = self.world.gather(saved)[0]
        if saved is None:
            return 0
        step, scores, tensors = saved
        self.scores, self.read_seconds = scores["heads"], scores.get("read_seconds", 0.0)
        for learner in self.learners:
            learner.failure = scores["failures"][learner.name]
            prefix = f"{learner.name}/"
            learner.load({k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}, step)
        return step


def _finite(values: Mapping[str, float]) -> dict[str, float | None]:
    """Values as JSON can hold them: None where there is no number."""
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


def _better(value: float | None, best: Mapping[str, Any] | None, metric: Metric) -> bool:
    held = best["metrics"][metric.primary] if best else None
    if value is None or held is None:
        return best is None or (held is None and value is not None)
    return value > held if metric.higher_is_better else value < held


@contextmanager
def _interruptible(world: World) -> Iterator[threading.Event]:
    """An event that Ctrl-C sets, so that a step is finished before the run stops; a second one stops at once."""
    event = threading.Event()

    def note(number: int, frame: FrameType | None) -> None:
        if event.is_set() and world.size == 1:  # torchrun repeats the signal
            raise KeyboardInterrupt
        event.set()

    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    previous = signal.signal(signal.SIGINT, note)
    try:
        yield event
    finally:
        signal.signal(signal.SIGINT, previous)
