"""What every step draws before it begins: the sizes of student and teachers, and which teachers take part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from argus_arena.distill.recipe import Stage

SIZES = 1
"""The part of a step's seed that is for sizes and teachers; images have another one."""


@dataclass(frozen=True)
class StepPlan:
    """Pixels a side of the student's and of each teacher's input; teachers that are left out are missing."""

    student: int
    teachers: Mapping[str, int]

    @property
    def sizes(self) -> tuple[int, ...]:
        """All sizes, rising."""
        return tuple(sorted({self.student, *self.teachers.values()}))


@dataclass(frozen=True)
class Plan:
    """The plans of all steps, a function of seed and step alone, so that resumed runs and all processes agree."""

    stage: Stage
    own_sizes: Mapping[str, int]
    seed: int

    @property
    def pairs(self) -> list[tuple[str, int]]:
        """Every teacher with each of the sizes that it may see."""
        return [(name, size) for name in self.stage.teachers for size in self._sizes(name)]

    def at(self, step: int) -> StepPlan:
        """The plan of a 0-based step."""
        whole, lots = self._draw(step)
        kept = [name for name, lot in lots.items() if lot >= self.stage.drop] or [
            max(lots, key=lambda name: lots[name])
        ]
        return StepPlan(whole.student, {name: whole.teachers[name] for name in kept})

    def whole(self, step: int) -> StepPlan:
        """The plan with all teachers, of which statistics are taken."""
        return self._draw(step)[0]

    def _draw(self, step: int) -> tuple[StepPlan, dict[str, float]]:
        """Sizes, and a number in 0..1 for every teacher."""
        rng = np.random.default_rng([self.seed, step, SIZES])
        student = int(rng.choice(self.stage.sizes))
        teachers = {name: int(rng.choice(self._sizes(name))) for name in self.stage.teachers}
        lots = rng.random(len(teachers)).tolist()
        return StepPlan(student, teachers), dict(zip(teachers, lots, strict=True))

    def _sizes(self, teacher: str) -> tuple[int, ...]:
        return self.stage.teacher_sizes or (self.own_sizes[teacher],)
