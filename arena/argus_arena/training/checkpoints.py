"""What a run keeps: its log, the scores so far, the best and the last weights of every head."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from argus_arena.distributed import Distributed
from argus_arena.progress import Reporter
from argus_arena.run.context import Setting
from argus_arena.run.folder import RunFolder
from argus_arena.training.learner import Learner
from argus_core.saving.checkpoint import read_tensors, save_head
from argus_core.tasks import Metric


class Checkpoints:
    """Judges evaluations and writes what is worth keeping; only the first process writes."""

    def __init__(self, setting: Setting, folder: RunFolder, process: Distributed, reporter: Reporter) -> None:
        self.setting, self.folder, self.process, self.reporter = setting, folder, process, reporter
        self.scores: dict[str, dict[str, Any]] = {name: {"evaluations": 0} for name in setting.heads}

    def log(self, head: str, done: int, values: Mapping[str, Any]) -> None:
        """Add a line to the run's log, and tell the plugins."""
        record = {"step": done, "head": head, "epoch": self.epoch(done), **values}
        if self.process.main:
            self.folder.append(record)
            self.setting.plugins.tell("arena_logged", run=self.folder.path, record=record)

    def epoch(self, done: int) -> float:
        """Epochs after so many steps."""
        return round(done / self.setting.order.steps_per_epoch, 3)

    def judge(self, learner: Learner, done: int, metrics: Mapping[str, Metric]) -> None:
        """Record an evaluation of each variant of a head's weights, and keep the best weights so far."""
        score = self.scores[learner.name]
        score["evaluations"] += 1
        found: dict[str, tuple[dict[str, float | None], bool]] = {}
        for variant, metric in metrics.items():
            values = finite(metric.compute())
            score["last"] = {"step": done, "variant": variant, "metrics": values}
            self.log(learner.name, done, {"weights": variant, "eval": values})
            if learner.recipe.sweep:
                _remember(score.setdefault("sweep", {}), variant, values[metric.primary], metric)
            better = _better(values[metric.primary], score.get("best"), metric)
            found[variant] = values, better
            if better:
                score["best"] = score["last"]
                self.write(learner, "best", score["best"])
        self._tell(learner, done, found, next(iter(metrics.values())))

    def _tell(
        self, learner: Learner, done: int, found: Mapping[str, tuple[dict[str, float | None], bool]], metric: Metric
    ) -> None:
        """Report every variant of the weights; of a sweep, whose log holds all, the best one."""
        chosen = list(found)
        if learner.recipe.sweep:
            sign = 1 if metric.higher_is_better else -1
            scored = {variant: values[metric.primary] for variant, (values, _) in found.items()}
            known = {variant: sign * value for variant, value in scored.items() if value is not None}
            chosen = [max(known, key=lambda variant: known[variant])] if known else chosen[:1]
        for variant in chosen:
            values, better = found[variant]
            self.reporter.evaluated(learner.name, variant, self.epoch(done), metric.primary, values, better)

    def write(self, learner: Learner, which: str, weights: Mapping[str, Any]) -> None:
        """Write one variant of a head's weights as ``best`` or ``last``."""
        if self.process.main:
            record = {**self.setting.record, "weights": weights}
            tensors = learner.weights(weights["variant"]).state_dict()
            save_head(self.folder.weights(learner.name, which), learner.head, record, tensors)

    def best(self, learner: Learner) -> Mapping[str, Tensor]:
        """A head's best weights so far."""
        self.process.barrier()
        return read_tensors(self.folder.weights(learner.name, "best"))[1]


def finite(values: Mapping[str, float]) -> dict[str, float | None]:
    """Values as JSON can hold them: None where there is no number."""
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


def _remember(best: dict[str, float | None], variant: str, value: float | None, metric: Metric) -> None:
    """The best primary score of each variant of a sweep."""
    held = best.get(variant)
    worse = value is None or (held is not None and (value < held) == metric.higher_is_better)
    best[variant] = held if worse else value


def _better(value: float | None, best: Mapping[str, Any] | None, metric: Metric) -> bool:
    held = best["metrics"][metric.primary] if best else None
    if value is None or held is None:
        return best is None or (held is None and value is not None)
    return value > held if metric.higher_is_better else value < held
