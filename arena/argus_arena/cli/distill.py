"""The command that makes a backbone from several others: distill."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from argus_core.cli.early import check_device, check_out, check_path, checked, placed
from argus_core.common.options import parse_pairs


def distill(
    recipe: Annotated[str, typer.Argument(help="TOML file, or a recipe of the package such as eupe-toy")],
    data: Annotated[
        list[str] | None,
        typer.Option("--data", help="images in place of the recipe's: a folder or data spec; repeatable"),
    ] = None,
    stage: Annotated[str | None, typer.Option("--stage", help="run one stage: its name, or its number from 1")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", callback=placed(check_out), help="folder; the same command resumes it")
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option("--from", callback=placed(check_path), help="start from it: a backbone folder or a weights file"),
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="KEY=VALUE of the recipe, such as stages.student.recipe.lr=1e-3")
    ] = None,
    device: Annotated[
        str | None, typer.Option("--device", callback=checked(check_device), help="cpu, cuda, cuda:1; default: a GPU")
    ] = None,
    workers: Annotated[int, typer.Option("--workers", min=0, help="processes that make views ahead; 0: a thread")] = 0,
    accept_faults: Annotated[
        bool, typer.Option("--accept-faults", help="go on without the images that cannot be read")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="print the recipe with all its values, check what it names, and stop")
    ] = False,
) -> None:
    """Distil backbones into one, stage by stage; run it again to resume."""
    from argus_arena.distill.reading import read_recipe

    chosen = read_recipe(recipe, tuple(data or ()), parse_pairs(settings))
    if stage is not None:
        chosen.stage(stage)
    if dry_run:
        from argus_arena.distill.survey import survey

        print(chosen.model_dump_json(indent=2))
        for line in survey(chosen, stage):
            print(line, file=sys.stderr)
        return
    from argus_arena.distill.run import distill as run

    run(chosen, out, stage, start, device, workers, accept_faults)
