"""What is told of a stage while it runs: lines of its log, which trackers get too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from argus_arena.distill.recipe import DistillRecipe, Stage
from argus_arena.run.folder import RunFolder
from argus_arena.training.checkpoints import Values
from argus_core.plugins.hooks import Plugins

LOG_EVERY = 10
"""Steps between two lines of losses."""
STUDENT = "student"
"""What lines of the log, and trackers, call what learns; of a run with heads these are the heads' names."""


class StageLog:
    """The log of a stage's folder and the trackers; silent in all processes but the first."""

    def __init__(self, folder: RunFolder, plugins: Plugins, speaks: bool) -> None:
        self.folder, self.plugins, self.speaks = folder, plugins, speaks

    def begin(self, recipe: DistillRecipe, stage: Stage) -> None:
        """The stage begins, or goes on."""
        values = recipe.model_dump(mode="json", include={"name", "seed", "augmentation", "comparison", "images"})
        self._tell("arena_started", config={"heads": {STUDENT: stage.model_dump(mode="json")}, "request": values})

    def losses(self, done: int, steps: int, terms: Mapping[str, float]) -> None:
        """The terms of a step's loss, now and then; those of the first and the last of all steps always."""
        if done in (1, steps) or done % LOG_EVERY == 0:
            self._line(done, terms)

    def scores(self, done: int, weights: str, scores: Values) -> None:
        """Scores of probes; ``weights`` are ``live`` or ``ema``, or those of a teacher."""
        self._line(done, {"weights": weights, "eval": scores})

    def finish(self, steps: int, scores: Values) -> None:
        """The stage is done, with these scores."""
        self._tell("arena_finished", results={STUDENT: {"selected": {"step": steps}, "metrics": scores}})

    def _line(self, done: int, values: Mapping[str, Any]) -> None:
        record = {"step": done, "head": STUDENT, **values}
        if self.speaks:
            self.folder.append(record)
        self._tell("arena_logged", record=record)

    def _tell(self, event: str, **values: Any) -> None:
        if self.speaks:
            self.plugins.tell(event, run=self.folder.path, **values)
