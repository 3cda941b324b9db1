"""Optimiser steps of a student: those of a head, for a network of which parts may be left out of a step."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import cast

from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from argus_arena.distill.fsdp import divide, divided_like, gathered
from argus_arena.distill.objective import Answers, Distillation
from argus_arena.distributed import Distributed
from argus_arena.run.phases import phases
from argus_arena.training.trial import Trial
from argus_core.head import Head
from argus_core.recipe import Recipe


class StudentTrial(Trial):
    """A trial that trains a student with its adapters; ``objective`` is shared with whoever made it.

    With ``fsdp`` several processes divide weights, gradients and moments among them. Then all of them must call
    ``state`` and ``result``.
    """

    def __init__(
        self,
        distillation: Distillation,
        recipe: Recipe,
        steps_per_epoch: int,
        process: Distributed,
        fsdp: bool = False,
    ) -> None:
        self.divided = fsdp and process.size > 1
        self._copy = copy.deepcopy(distillation).cpu() if self.divided else distillation
        # Of a head a trial uses its module, its name, ``loss`` and ``make_room``, which a distillation has too.
        super().__init__("", 1.0, cast(Head, distillation), recipe, process)
        (self.only,) = phases(recipe, steps_per_epoch)
        self.distillation = distillation

    @property
    def steps(self) -> int:
        """Steps of the whole training."""
        return self.only.steps

    def spread(self, objective: nn.Module) -> nn.Module:
        """As for heads, but a teacher that is left out of a step leaves parameters without gradients."""
        if self.divided:
            return divide(objective, self.process.device.type)
        return DistributedDataParallel(objective, find_unused_parameters=True)

    def whole(self, value: Tensor) -> Tensor:
        """A divided tensor is gathered."""
        return gathered(value)

    def placed(self, value: Tensor, parameter: nn.Parameter) -> Tensor:
        """Divided as its parameter is."""
        return divided_like(super().placed(value, parameter), parameter)

    def learn(self, step: int, parts: Iterable[tuple[Tensor, Answers]], count: int) -> dict[str, float]:
        """One optimiser step on ``count`` batches of images and targets; loss terms are means over all processes."""
        return self.process.mean(self.accumulate(step, parts, count))

    @property
    def result(self) -> Distillation:
        """The averaged weights where the recipe averages, else the last ones; of divided ones a whole copy."""
        if self.average is not None:
            return cast(Distillation, self.average.module)
        if self.divided:
            self._copy.load_state_dict({key: gathered(value) for key, value in self.distillation.state_dict().items()})
            return self._copy.to(self.process.device)
        return self.distillation
