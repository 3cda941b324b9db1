"""The frozen backbones that teach: each at its own size, with its own normalisation of pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from argus_arena.distill.losses import Answer
from argus_arena.distill.objective import Subject
from argus_arena.distill.plan import StepPlan
from argus_arena.distill.recipe import TeacherSource
from argus_core.backbones import Backbone, load_backbone
from argus_core.errors import ArgusError
from argus_core.tokens import Needs, Tokens

NEEDS = Needs(layers=(-1,), norm=True, cls=True)
"""What a teacher is asked for: its last layer, behind its final norm."""


Crops = Mapping[int, Tensor]
"""Views of a batch as RGB bytes (B, 3, size, size), by size."""


@dataclass(frozen=True)
class Seen:
    """What one pass of a step sees: views, and by name the tokens of the teachers that need not look at them."""

    crops: Crops
    tokens: Mapping[str, Tokens]

    def to(self, device: torch.device) -> Seen:
        """The same on ``device``."""
        crops = {size: pixels.to(device, non_blocking=True) for size, pixels in self.crops.items()}
        return Seen(crops, {name: tokens.to(device) for name, tokens in self.tokens.items()})


class Teacher:
    """One frozen backbone, and what counts of it."""

    def __init__(self, name: str, source: TeacherSource, backbone: Backbone) -> None:
        self.name, self.source, self.backbone = name, source, backbone

    @property
    def subject(self) -> Subject:
        """What the objective must know of it."""
        return Subject(self.backbone.info.channels[-1], self.source.weight, self.source.cls)

    @property
    def identity(self) -> dict[str, Any]:
        """What decides its answers, as plain JSON values."""
        asked = self.source.model_dump(mode="json", exclude={"backbone", "stage", "weights"})
        return {"backbone": self.backbone.name, "sha256": self.backbone.weights_sha256, **asked}

    @property
    def notes(self) -> list[str]:
        """What users should know of it."""
        if not self.source.cls or getattr(self.backbone.model, "cls_token", None) is not None:
            return []
        return [
            f"teacher {self.name} ({self.backbone.name}) has no class token: the mean of its patches stands in for it; "
            f"teachers.{self.name}.cls = false leaves it out"
        ]

    def answer(self, seen: Seen, size: int, step: int) -> Answer:
        """CLS (B, C) and patches (B, C, h, w) of the views of one size; raises ArgusError for values like NaN.

        Answers that were stored are taken as they are, and the backbone does not run.
        """
        tokens = seen.tokens[self.name] if self.name in seen.tokens else self.backbone(seen.crops[size], NEEDS)
        features = tokens.features(NEEDS)
        # In one order of memory, whether they were stored or not, so that later sums round alike.
        cls, patches = features.cls[0], features.map.contiguous(memory_format=torch.channels_last)
        sound = cls.isfinite().all(1) & patches.isfinite().flatten(1).all(1)
        if not sound.all():
            bad = int((~sound).sum())
            raise ArgusError(
                f"teacher {self.name} ({self.backbone.name}) gave values that are not finite on {bad} of {len(sound)} "
                f"images at step {step}, seen at {size} px; try teachers.{self.name}.options.precision = 'fp32', "
                "or leave this teacher out"
            )
        return Answer(cls, patches)


def answers_of(teachers: Mapping[str, Teacher], seen: Seen, plan: StepPlan, step: int) -> dict[str, Answer]:
    """What the teachers of a step say of a batch."""
    return {name: teachers[name].answer(seen, size, step) for name, size in plan.teachers.items()}


def load_teacher(name: str, source: TeacherSource, results: Mapping[str, Path], device: torch.device) -> Teacher:
    """A registered backbone, or the result of a stage; ``results`` are the folders of these, by stage."""
    backbone = source.backbone
    if source.stage:
        backbone = str(results[source.stage])
        if not results[source.stage].is_dir():
            raise ArgusError(f"teacher {name} is the result of stage {source.stage!r}: run that first")
    return Teacher(name, source, load_backbone(backbone, source.weights, device, **source.options))
