"""The default training of a head, as shared by heads, command line and run record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Conditions", "Recipe", "Stage"]


class Stage(BaseModel):
    """The last ``epochs`` of a training, with a separate rate and from the best weights so far.

    It trains the parameters with one of ``only`` among the parts of their dotted names, or all of them. Modules without
    such a parameter are in eval mode: their running statistics stay, and their dropout is off.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: float = Field(gt=0)
    lr: float = Field(gt=0)
    only: tuple[str, ...] = ()


class Conditions(BaseModel):
    """Conditions of a published training besides its recipe: canvas (height, width) in pixels, and views of an image.

    ``options`` are options of the head that need external files, each with how to get them. ``settings`` are fields of
    the recipe and options of the head that differ from the defaults here: with the card they apply unless they are set.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    canvas: tuple[int, int] | None = None
    views: tuple[str, ...] = ()
    options: Mapping[str, str] = Field(default_factory=dict)
    settings: Mapping[str, Any] = Field(default_factory=dict)


class Recipe(BaseModel):
    """Optimiser, schedule, averaging, batch and length of one head's training.

    Every field except ``conditions`` can be set from the command line. The recipe of a head's class is its *card*, that
    of its published result; the arena adapts batch, rate, warm-up and length to the size of the data unless the card is
    requested.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    optimizer: Literal["adamw", "sgd"] = "adamw"
    lr: float = Field(default=1e-3, gt=0, description="peak learning rate")
    sweep: tuple[float, ...] = Field(
        default=(), description="further peak rates, trained side by side with lr; the best one is kept"
    )
    betas: tuple[float, float] = (0.9, 0.999)
    momentum: float = Field(default=0.9, ge=0, lt=1, description="for sgd")
    weight_decay: float = Field(default=1e-4, ge=0, description="on the parameters that decayed says")
    decayed: Literal["matrices", "all"] = Field(
        default="matrices", description="all: norms, biases and scales too, which have one dimension or none"
    )
    batch: int = Field(default=16, ge=1, description="images per step, over all processes")
    epochs: float = Field(default=12, gt=0, description="length of the whole training, stages included")
    steps: int = Field(default=0, ge=0, description="the same in steps; 0 goes by epochs")
    schedule: Literal["cosine", "onecycle", "onecycle-momentum", "constant"] = "cosine"
    warmup: float = Field(default=0.03, ge=0, lt=1, description="share of the steps with a linearly rising rate")
    clip: float = Field(default=10.0, ge=0, description="gradient norm limit; 0 is none")
    ema: float = Field(default=0.0, ge=0, lt=1, description="decay of the averaged weights; 0 is none")
    stages: tuple[Stage, ...] = Field(default=(), description="the last epochs, from the best weights so far")
    evaluations: int = Field(default=0, ge=0, description="evaluations before any stage; 0 is about ten in all")
    evaluate_from: float = Field(
        default=0.0, ge=0, lt=1, description="share of the steps before any stage that the first evaluation waits for"
    )
    conditions: Conditions | None = Field(default=None, description="what the card stood on beside this recipe")
