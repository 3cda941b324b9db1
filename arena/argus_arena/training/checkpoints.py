"""What a run keeps: its log, the scores so far, the best and the last weights of every head."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

from argus_arena.distributed import Distributed
from argus_arena.run.folder import RunFolder
from argus_arena.scoring.calibrate import Calibrated
from argus_arena.scoring.contributions import keep_contributions
from argus_arena.scoring.rules import Scoring
from argus_arena.training.learner import Learner
from argus_arena.training.progress import Reporter
from argus_core.head import Head
from argus_core.plugins.hooks import Plugins
from argus_core.saving.checkpoint import read_tensors, save_head
from argus_core.tasks import Metric

Values = dict[str, float | None]
NOTHING: dict[str, Any] = {"split": None, "images": 0, "metrics": None}
"""On what weights were chosen that were not."""


class Checkpoints:
    """Records evaluations and writes weights, with ``record`` in every file; only the first process writes.

    ``best`` are the weights that are scored in the end: those with the best score by ``selection``, or the last ones.
    """

    def __init__(
        self,
        folder: RunFolder,
        record: Mapping[str, Any],
        heads: Iterable[str],
        steps_per_epoch: int,
        process: Distributed,
        plugins: Plugins,
        reporter: Reporter,
        selection: Scoring | None,
    ) -> None:
        self.folder, self.selection = folder, selection
        self.record, self.steps_per_epoch = record, steps_per_epoch
        self.process, self.plugins, self.reporter = process, plugins, reporter
        self.scores: dict[str, dict[str, Any]] = {name: {"candidates": 0} for name in heads}

    def log(self, head: str, done: int, values: Mapping[str, Any]) -> None:
        """Add a line to the run's log, and tell the plugins."""
        line = {"step": done, "head": head, "epoch": self._epoch(done), **values}
        if self.process.main:
            self.folder.append(line)
            self.plugins.tell("arena_logged", run=self.folder.path, record=line)

    def chooses(self, learner: Learner) -> bool:
        """Whether a head's weights are chosen; else the last ones are taken."""
        return self.selection is not None and bool(learner.phases)

    def evaluated(self, learner: Learner, done: int, metrics: Mapping[str, Metric]) -> None:
        """Record an evaluation of each variant of a head's weights, and write the best weights so far."""
        assert self.selection is not None
        score, on = self.scores[learner.name], self.selection.described
        score["candidates"] += len(metrics)
        results: dict[str, tuple[Values, bool]] = {}
        for variant, metric in metrics.items():
            values = finite(metric.compute())
            score["last"] = {"step": done, "variant": variant, **on, "metrics": values}
            self.log(learner.name, done, {"weights": variant, "eval": values, **on})
            if learner.recipe.sweep:
                _remember(score.setdefault("sweep", {}), variant, values[metric.primary], metric)
            better = _better(values[metric.primary], score.get("best"), metric, done)
            results[variant] = values, better
            if better:
                score["best"] = score["last"]
                self.write(learner, "best", score["best"])
        self._report(learner, done, results, next(iter(metrics.values())))

    def keep(self, learner: Learner, done: int) -> None:
        """Take the weights as they are after so many steps, averaged ones where there are any."""
        score = self.scores[learner.name]
        score["candidates"], score["best"] = 1, {"step": done, "variant": learner.newest(), **NOTHING}
        self.write(learner, "best", score["best"])

    def calibrated(self, learner: Learner, head: Head, found: Calibrated) -> None:
        """Record how far confidences are from probabilities, and write the chosen weights with their calibration."""
        score = self.scores[learner.name]
        score["calibration"] = found.to_dict()
        if self.process.main and found.applied:
            save_head(self.folder.weights(learner.name, "best"), head, {**self.record, "weights": score["best"]})
        self.reporter.say(f"{learner.name}: {found}")

    def reported(self, learner: Learner, metric: Metric, scoring: Scoring) -> None:
        """Record the scores of the chosen weights, and beside the row what each sample adds to them."""
        score = self.scores[learner.name]
        score["reported"] = finite(metric.compute())
        if self.process.main:
            row = self.folder.result(learner.name)
            score["contributions"] = keep_contributions(row, metric, learner.head.task, scoring)

    def log_reported(self, learner: Learner, scoring: Scoring) -> None:
        """Add the line of the chosen weights to the log, unless it is there."""
        score = self.scores[learner.name]
        step, variant = score["best"]["step"], score["best"]["variant"]
        line = {"step": step, "head": learner.name, "epoch": self._epoch(step), "weights": variant}
        if self.process.main:
            self.folder.append_once({**line, "eval": score["reported"], **scoring.described, "reported": True})

    def write(self, learner: Learner, which: str, weights: Mapping[str, Any]) -> None:
        """Write one variant of a head's weights as ``best`` or ``last``."""
        if self.process.main:
            tensors = learner.weights(weights["variant"]).state_dict()
            path = self.folder.weights(learner.name, which)
            save_head(path, learner.head, {**self.record, "weights": weights}, tensors)

    def write_last(self, learner: Learner) -> None:
        """Write the last weights of a head at the end of its training."""
        best = self.scores[learner.name]["best"]
        # Of a sweep the rate was chosen, although not the step.
        on = {key: best[key] for key in NOTHING if key != "metrics"} if learner.recipe.sweep else NOTHING
        self.write(learner, "last", {"step": learner.steps, "variant": learner.last(best["variant"]), **on})

    def best(self, learner: Learner) -> Mapping[str, Tensor]:
        """A head's best weights so far."""
        self.process.barrier()
        return read_tensors(self.folder.weights(learner.name, "best"))[1]

    def _report(self, learner: Learner, done: int, results: Mapping[str, tuple[Values, bool]], metric: Metric) -> None:
        """Report every variant of the weights; of a sweep, all of which is in the log, the best one."""
        variants = list(results)
        if learner.recipe.sweep:
            sign = 1 if metric.higher_is_better else -1
            primary = {variant: values[metric.primary] for variant, (values, _) in results.items()}
            known = {variant: sign * value for variant, value in primary.items() if value is not None}
            variants = [max(known, key=lambda variant: known[variant])] if known else variants[:1]
        on = self.selection.told if self.selection else ""
        for variant in variants:
            values, better = results[variant]
            self.reporter.evaluated(learner.name, variant, self._epoch(done), metric.primary, values, better, on)

    def _epoch(self, done: int) -> float:
        """Epochs after so many steps."""
        return round(done / self.steps_per_epoch, 3)


def finite(values: Mapping[str, float]) -> Values:
    """Values as JSON can hold them: None where there is no number."""
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


def _remember(best: Values, variant: str, value: float | None, metric: Metric) -> None:
    """Keep the best primary score of each variant of a sweep."""
    previous = best.get(variant)
    worse = value is None or (previous is not None and (value < previous) == metric.higher_is_better)
    best[variant] = previous if worse else value


def _better(value: float | None, best: Mapping[str, Any] | None, metric: Metric, done: int) -> bool:
    """Whether a score after so many steps is the best; of equal ones the later, whose weights learnt for longer."""
    previous = best["metrics"][metric.primary] if best else None
    if value is None or previous is None:
        return previous is None  # while no score is defined the newest weights are the best
    if value == previous:
        return best is not None and best["step"] < done
    return value > previous if metric.higher_is_better else value < previous
