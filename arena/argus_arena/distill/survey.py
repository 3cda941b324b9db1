"""What a recipe would do, in a few lines, and whether all that it names is there; no weights are read."""

from __future__ import annotations

from pathlib import Path

import torch

from argus_arena.distill.photographs import open_photographs
from argus_arena.distill.probes import Probe
from argus_arena.distill.recipe import DistillRecipe, Network, Stage, TeacherSource
from argus_arena.training.train import open_plugins
from argus_core.backbones.timm_models import build
from argus_core.cli.early import check_backbone
from argus_core.errors import ArgusError, counted


def survey(recipe: DistillRecipe, stage: str | None = None) -> list[str]:
    """A line for the images, each network, teacher, probe and stage; raises ArgusError for what is not there.

    Of the stages only ``stage`` (name or number) is told, if given.
    """
    stages = recipe.stages if stage is None else (recipe.stage(stage),)
    plugins = open_plugins()
    photographs = open_photographs(recipe.images, plugins)
    probes = [Probe(name, source, plugins) for name, source in recipe.probes.items()]
    return [
        f"images: {counted(len(photographs), 'photograph')}",
        *(f"network {name}: {_network(name, network)}" for name, network in recipe.networks.items()),
        *(f"teacher {name}: {_teacher(name, source)}" for name, source in recipe.teachers.items()),
        *(f"probe {probe.name}: {', '.join(probe.heads)}" for probe in probes),
        *(f"stage {each.name}: {_stage(each, len(photographs))}" for each in stages),
    ]


def _network(name: str, network: Network) -> str:
    _check_file(f"networks.{name}.weights", network.weights)
    with torch.device("meta"):  # shapes without memory
        model = build(network.model, **network.options)
    million = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    begins = "timm's weights" if network.pretrained else network.weights or "random weights"
    return f"{network.model}, {million:,.1f} M parameters, begins with {begins}"


def _teacher(name: str, source: TeacherSource) -> str:
    _check_file(f"teachers.{name}.weights", source.weights)
    if source.backbone:
        check_backbone(source.backbone)
    return f"{source.backbone or f'the result of stage {source.stage}'} at {source.size} px"


def _stage(stage: Stage, images: int) -> str:
    steps = stage.recipe.steps or stage.recipe.epochs * max(1, images // stage.recipe.batch)
    views = f"{steps:,} steps of {stage.recipe.batch:,} views"
    sizes = ", ".join(map(str, stage.sizes))
    stored = "" if not stage.crops or stage.stored == "no" else f", {images * stage.crops:,} of them stored"
    return f"{', '.join(stage.teachers)} to {stage.student} at {sizes} px, {views}{stored}"


def _check_file(key: str, file: Path | None) -> None:
    if file is not None and not file.is_file():
        raise ArgusError(f"{key}: there is no file {file}")
