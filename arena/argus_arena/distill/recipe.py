"""What `arena distill` does, as one file: networks that learn, teachers, images, and stages. Torch is not imported."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from argus_core.common.dtypes import known_dtype
from argus_core.errors import ArgusError, unknown
from argus_core.recipe import Recipe

NAME = r"^[\w-]+$"


def _stored(text: str) -> str:
    """A number format of caches, or ``no``."""
    try:
        return text if text == "no" else known_dtype(text)
    except ArgusError as error:
        raise ValueError(str(error)) from error


class Part(BaseModel):
    """The base of all parts: frozen, without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Network(Part):
    """A network that learns: a timm architecture, the options that it is built with, and perhaps weights to begin with.

    These are a file, or ``pretrained`` ones that timm publishes; without either it begins at random. ``license`` is
    that of the file. ``mean`` and ``std`` of the input default to those of timm's configuration.
    """

    model: str
    options: dict[str, Any] = Field(default_factory=dict)
    weights: Path | None = None
    pretrained: bool = False
    license: str = "unknown"
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None


class TeacherSource(Part):
    """A frozen backbone by name, or the result of an earlier stage; it sees squares of ``size`` pixels.

    Its losses count ``weight`` times. Without ``cls`` it teaches patches alone.
    """

    backbone: str = ""
    stage: str = ""
    weights: Path | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    size: int = Field(gt=0)
    weight: float = Field(default=1.0, gt=0)
    cls: bool = True

    @model_validator(mode="after")
    def _one_source(self) -> TeacherSource:
        if bool(self.backbone) == bool(self.stage):
            raise ValueError("a teacher is either a backbone or the result of a stage: give one of the two")
        return self


class Images(Part):
    """Data sets and folders without labels, whose images are seen alike often; of a data set its split ``train``.

    ``license`` identifies the terms of the photographs; it becomes a part of the result's licences. Below ``store``
    stages store their views and answers, each in a folder of its own; by default in its run folder. Before the first
    stage every image is read once, unless ``check`` is false, so that all that cannot be read are told at once.
    """

    data: tuple[str, ...] = ()
    license: str = ""
    store: Path | None = None
    check: bool = True


Range = tuple[float, float]


class Augmentation(Part):
    """How an image is varied, anew each time that it is seen; ``area`` and ``aspect`` are those of the crop.

    Colours vary by up to a share of ``brightness``, ``contrast`` and ``saturation``, and ``hue`` of the colour circle.
    ``blur`` is the deviation in pixels of an image of 256 pixels. Numbers called after an operation with ``_p`` are the
    probability of it. Views that are drawn once depend on ``seed`` alone, whatever that of the recipe, so that runs of
    several seeds can share what they store.
    """

    seed: int = 0
    area: Range = (0.32, 1.0)
    aspect: Range = (0.75, 4 / 3)
    flip_p: float = Field(default=0.5, ge=0, le=1)
    colour_p: float = Field(default=0.8, ge=0, le=1)
    brightness: float = Field(default=0.4, ge=0, le=1)
    contrast: float = Field(default=0.4, ge=0, le=1)
    saturation: float = Field(default=0.2, ge=0, le=1)
    hue: float = Field(default=0.1, ge=0, le=0.5)
    blur_p: float = Field(default=0.5, ge=0, le=1)
    blur: Range = (0.1, 2.0)
    solarize_p: float = Field(default=0.2, ge=0, le=1)
    solarize: int = Field(default=128, ge=0, le=255)


class Comparison(Part):
    """How answers are compared: shares of the patch loss, normalisation of the teachers, where patches meet.

    Statistics are those of the first ``steps`` steps. ``adapter`` is the width of adapters; 0 is the student's own.
    """

    cosine: float = Field(default=0.9, ge=0)
    smooth: float = Field(default=0.1, ge=0)
    normalize: Literal["meanstd", "phi_s", "none"] = "meanstd"
    steps: int = Field(default=500, ge=1)
    grid: Literal["smaller", "teacher"] = "smaller"
    adapter: int = Field(default=0, ge=0)


class ProbeSource(Part):
    """A data set by which backbones are compared: heads that are solved on tokens of ``train`` are scored on ``split``.

    By default these are the ones of ``probes.HEADS`` for its tasks. A stage is probed at its start, every ``every``
    steps and at its end. Images are stretched to squares of ``size`` pixels; ``images`` of each split count at most, or
    with 0 all of them.
    """

    data: str
    heads: tuple[str, ...] = ()
    split: str = "val"
    size: int = Field(default=160, gt=0)
    every: int = Field(default=500, ge=1)
    images: int = Field(default=500, ge=0)


class Stage(Part):
    """A training of ``student``, a network's name, by some teachers; it begins with the result of the stage ``start``.

    The student's size is drawn from ``sizes`` for every step, and independently of it that of each teacher from
    ``teacher_sizes``, by default its own. A step leaves a teacher out with the probability ``drop``, but never all.
    ``recipe`` has the fields of a head's recipe; ``accumulate`` divides a batch into so many passes.
    Every ``save_every`` steps what a resumed run needs is written. With ``fsdp`` several processes divide the student's
    weights, gradients and moments among them.

    With ``crops`` there are so many views of every image, and no others. The answers of teachers to them are computed
    once and ``stored`` in that number format, unless it is ``no``.
    """

    name: str = Field(pattern=NAME)
    student: str
    teachers: tuple[str, ...] = Field(min_length=1)
    start: str = ""
    sizes: tuple[int, ...] = Field(default=(256,), min_length=1)
    teacher_sizes: tuple[int, ...] = ()
    drop: float = Field(default=0.0, ge=0, lt=1)
    accumulate: int = Field(default=1, ge=1)
    save_every: int = Field(default=500, ge=1)
    fsdp: bool = False
    crops: int = Field(default=0, ge=0)
    stored: Annotated[str, AfterValidator(_stored)] = "fp16"
    recipe: Recipe = Recipe()


class DistillRecipe(Part):
    """A whole distillation; ``reading.read_recipe`` reads it from TOML."""

    name: str = Field(pattern=NAME)
    seed: int = 0
    networks: dict[str, Network]
    teachers: dict[str, TeacherSource]
    images: Images = Images()
    augmentation: Augmentation = Augmentation()
    comparison: Comparison = Comparison()
    probes: dict[Annotated[str, Field(pattern=NAME)], ProbeSource] = Field(default_factory=dict)
    stages: tuple[Stage, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_are_known(self) -> DistillRecipe:
        done: list[str] = []
        for stage in self.stages:
            _check(stage, "network", stage.student, self.networks)
            for teacher in stage.teachers:
                _check(stage, "teacher", teacher, self.teachers)
                if source := self.teachers[teacher].stage:
                    _check(stage, "stage before it", source, done)
            if stage.start:
                _check(stage, "stage before it", stage.start, done)
            _check_divides(stage)
            done.append(stage.name)
        if len(set(done)) < len(done):
            raise ValueError(f"two stages have one name: {', '.join(done)}")
        return self

    def stage(self, which: str) -> Stage:
        """A stage by its name, or by its number from 1."""
        if which.isdigit() and 0 < int(which) <= len(self.stages):
            return self.stages[int(which) - 1]
        for stage in self.stages:
            if stage.name == which:
                return stage
        raise unknown("stage", which, [stage.name for stage in self.stages])


def _check(stage: Stage, kind: str, name: str, known: Any) -> None:
    if name not in known:
        raise ValueError(f"stages.{stage.name}: {unknown(kind, name, known)}")


def _check_divides(stage: Stage) -> None:
    place = f"stages.{stage.name}"
    if stage.recipe.batch % stage.accumulate:
        raise ValueError(
            f"{place}: batch = {stage.recipe.batch} does not divide into accumulate = {stage.accumulate} passes"
        )
    if stage.fsdp and stage.recipe.ema:
        raise ValueError(f"{place}: fsdp = true and recipe.ema: no average of divided weights is kept; leave one out")
    if stage.recipe.stages or stage.recipe.sweep:
        raise ValueError(
            f"{place}: recipe.stages and recipe.sweep are for heads; list further stages of the distillation instead"
        )
