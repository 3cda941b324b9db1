"""The command about many data sets: domains."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from argus_arena.cli import options
from argus_arena.cli.options import BackboneSet, Fit, Recipe, RequireLicense, Settings, Weights
from argus_core.cli.app import Device
from argus_core.cli.early import check_heads, check_out, checked
from argus_core.common.options import parse_size


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(domains)


def domains(
    out: Annotated[
        Path,
        typer.Option(
            "--out", callback=checked(check_out), help="folder of the comparison; the same command resumes it"
        ),
    ],
    data: Annotated[
        list[str], typer.Option("--data", help="folder of COCO data sets (RF100-VL layout), or NAME=SPEC; repeatable")
    ],
    heads: Annotated[
        list[str],
        typer.Option("--heads", "--head", callback=checked(check_heads), help="all, or registered heads; repeatable"),
    ],
    expect: Annotated[
        list[str] | None,
        typer.Option(
            "--expect", help="rf20-vl, or names: these domains and no others, all needed for a mean; repeatable"
        ),
    ] = None,
    backbone: options.Backbone = "eupe_vitb16",
    weights: Weights = None,
    backbone_set: BackboneSet = None,
    canvas: options.CanvasSize = "640",
    fit: Fit = "letterbox",
    layers: Annotated[str, typer.Option("--layers", help="blocks to store, such as 2,5,8,11; -1 is the last")] = "-1",
    views: Annotated[str, typer.Option("--views", help="true passes of the training split: id or id,hflip")] = "id",
    val_split: Annotated[str, typer.Option("--val-split", help="split that is scored: val or test")] = "val",
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="trainings of every head, with seeds 0, 1, ...")] = 1,
    recipe: Recipe = None,
    settings: Settings = None,
    memory: Annotated[
        float | None,
        typer.Option("--memory", min=0.1, help="GiB for heads side by side; default: half of what is free"),
    ] = None,
    accept_faults: options.AcceptFaults = False,
    new_device: options.NewDevice = False,
    device: Device = None,
    require_license: RequireLicense = None,
) -> None:
    """Compare heads on many data sets: every domain's score, and their mean; exit code 1 if one is missing."""
    from argus_arena.comparison.compare import Comparison
    from argus_arena.comparison.domains import Domains, compare_domains
    from argus_arena.tools.cache import CacheRequest

    tokens = CacheRequest(
        data="",
        out=out,
        backbone=backbone,
        weights=weights,
        backbone_options=options.pairs(backbone_set),
        canvas=parse_size(canvas),
        fit=fit,
        layers=options.integers(layers),
        views=options.names(views),
        splits=("train", val_split),
        device=device,
        accept_faults=accept_faults,
        require_license=require_license,
    )
    said = {"device": device, "recipe": recipe, "accept_faults": accept_faults, "new_device": new_device}
    given: dict[str, Any] = {"heads": tuple(heads), "val_split": val_split, **{k: v for k, v in said.items() if v}}
    comparison = Comparison(out, seeds, memory, "detect")
    summary = compare_domains(Domains.find(data, expect or ()), given, options.pairs(settings), tokens, comparison)
    if summary["missing"]:
        raise typer.Exit(1)
