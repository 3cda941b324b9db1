"""A whole distillation: the stages of a recipe one after the other, each in a folder of its own."""

from __future__ import annotations

from pathlib import Path

from argus_arena.distill.photographs import open_photographs
from argus_arena.distill.probes import Probe
from argus_arena.distill.readable import readable
from argus_arena.distill.recipe import DistillRecipe, Stage
from argus_arena.distill.stage import BACKBONE, StageRun
from argus_arena.distributed import join_processes
from argus_arena.training.train import open_plugins
from argus_core.errors import ArgusError


def distill(
    recipe: DistillRecipe,
    out: Path | None = None,
    only: str | None = None,
    start: Path | None = None,
    device: str | None = None,
    workers: int = 0,
    accept_faults: bool = False,
) -> Path:
    """Run all stages, or ``only`` one, by name or number; what was begun goes on. Returns the last backbone's folder.

    ``start`` is a backbone folder or a file of weights that the first stage which runs begins with, in place of what
    the recipe says. Images that cannot be read raise DataRefused, or with ``accept_faults`` are left out.
    """
    folder = out or Path("runs") / recipe.name
    stages = recipe.stages if only is None else (recipe.stage(only),)
    results = {stage.name: folder / stage.name / BACKBONE for stage in recipe.stages}
    plugins = open_plugins()
    photographs = open_photographs(recipe.images, plugins)
    probes = [Probe(name, source, plugins) for name, source in recipe.probes.items()]
    with join_processes(device) as process:
        if recipe.images.check:
            photographs = readable(photographs, folder, process, accept_faults)
        for number, stage in enumerate(stages):
            begin = start if number == 0 and start is not None else _start(stage, results)
            place = folder / stage.name
            StageRun(recipe, stage, place, begin, results, photographs, process, plugins, probes, workers).run()
    return results[stages[-1].name]


def _start(stage: Stage, results: dict[str, Path]) -> Path | None:
    if not stage.start:
        return None
    if not results[stage.start].is_dir():
        raise ArgusError(
            f"stage {stage.name!r} begins with the result of {stage.start!r}, and {results[stage.start]} is not there; "
            f"run that stage first, or give --from CHECKPOINT"
        )
    return results[stage.start]
