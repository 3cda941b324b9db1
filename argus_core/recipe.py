"""How a head is trained by default: one frozen description shared by heads, command line and run record."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Recipe", "Stage"]


class Stage(BaseModel):
    """A stretch of training with its own length and rate.

    It trains the parameters whose dotted name has one of ``only`` among its parts, or all of them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: float = Field(gt=0)
    lr: float = Field(gt=0)
    only: tuple[str, ...] = ()


class Recipe(BaseModel):
    """Optimiser, schedule, averaging and batch of one head; every field can be set from the command line."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    optimizer: Literal["adamw", "sgd"] = "adamw"
    lr: float = Field(default=1e-3, gt=0, description="peak learning rate")
    sweep: tuple[float, ...] = Field(
        default=(), description="further peak rates, trained side by side with lr; the best one is kept"
    )
    betas: tuple[float, float] = (0.9, 0.999)
    momentum: float = Field(default=0.9, ge=0, lt=1, description="for sgd")
    weight_decay: float = Field(default=1e-4, ge=0, description="not on norms, biases and scales")
    batch: int = Field(default=16, ge=1, description="images per step, over all processes")
    epochs: float = Field(default=12, gt=0)
    steps: int = Field(default=0, ge=0, description="length in steps; 0 goes by epochs")
    schedule: Literal["cosine", "onecycle", "onecycle-momentum", "constant"] = "cosine"
    warmup: float = Field(default=0.03, ge=0, lt=1, description="share of the steps with a linearly rising rate")
    clip: float = Field(default=10.0, ge=0, description="gradient norm limit; 0 is none")
    ema: float = Field(default=0.0, ge=0, lt=1, description="decay of the averaged weights; 0 is none")
    stages: tuple[Stage, ...] = Field(default=(), description="further stages, from the best weights so far")
