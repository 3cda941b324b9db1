"""Commands about several results: compare, board, reproduce."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from argus_arena.cli import options
from argus_arena.cli.options import BackboneSet, MetricSet, Protocol, Recipe, RequireLicense, Settings, Weights
from argus_arena.run.config_file import check_names
from argus_core.cli.app import Device
from argus_core.cli.early import check_data, check_heads, check_out, check_path, checked


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (compare, board, reproduce):
        app.command()(command)


def compare(
    out: Annotated[
        Path,
        typer.Option(
            "--out", callback=checked(check_out), help="folder of the comparison; the same command resumes it"
        ),
    ],
    heads: Annotated[
        list[str] | None,
        typer.Option(
            "--heads",
            "--head",
            callback=checked(check_heads),
            help="all, or registered heads, or NAME=HEAD; repeatable",
        ),
    ] = None,
    data: Annotated[
        str | None, typer.Option("--data", callback=checked(check_data), help="data spec, such as coco:PATH")
    ] = None,
    task: Annotated[str, typer.Option("--task", help="which task, where the data has several")] = "",
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="trainings of every head, with seeds 0, 1, ...")] = 1,
    cache: options.Cache = None,
    backbone: options.LiveBackbone = None,
    weights: Weights = None,
    backbone_set: BackboneSet = None,
    canvas: options.LiveCanvas = None,
    fit: options.LiveFit = None,
    views: Annotated[str | None, typer.Option("--views", help="views to train on, such as id,hflip")] = None,
    recipe: Recipe = None,
    settings: Settings = None,
    config: options.Config = None,
    memory: Annotated[
        float | None,
        typer.Option("--memory", min=0.1, help="GiB for heads side by side; default: half of what is free"),
    ] = None,
    device: Device = None,
    workers: Annotated[int | None, typer.Option("--workers", help="processes that read batches ahead")] = None,
    eval_every: Annotated[float | None, typer.Option("--eval-every", help="epochs between evaluations")] = None,
    metric: MetricSet = None,
    protocol: Protocol = None,
    accept_faults: options.AcceptFaults = False,
    new_device: options.NewDevice = False,
    require_license: RequireLicense = None,
) -> None:
    """Train many heads on the same tokens, many per read, over several seeds, and rank them beside the floor.

    Exit code 1 if a head failed or was left out; the others are ranked all the same.
    """
    known = options.run_keys(
        heads=tuple(heads) if heads else None,
        data=data,
        cache=cache,
        backbone=backbone,
        weights=weights,
        backbone_set=backbone_set,
        canvas=canvas,
        fit=fit,
        views=views,
        recipe=recipe,
        device=device,
        workers=workers,
        eval_every=eval_every,
        metric=metric,
        protocol=protocol,
        accept_faults=accept_faults or None,
        new_device=new_device or None,
        require_license=require_license,
    )
    check_names(known, config)  # before torch is imported
    from argus_arena.comparison.compare import Comparison, compare_heads

    _, failures = compare_heads(known, options.pairs(settings), config, Comparison(out, seeds, memory, task))
    if failures:
        raise typer.Exit(1)


def board(
    runs: Annotated[list[Path], typer.Argument(help="run folders, or folders of runs")],
    format: Annotated[str, typer.Option("--format", help="table, json, csv or markdown")] = "table",
    head: Annotated[list[str] | None, typer.Option("--head", help="only these heads; repeatable")] = None,
    task: Annotated[str, typer.Option("--task", help="only this task")] = "",
    sort: Annotated[
        str | None, typer.Option("--sort", help="score or cost to rank by, such as AP50, parameters or macs")
    ] = None,
) -> None:
    """Rank results, seeds of one head together; rows of different protocols or data are never ranked together."""
    from argus_arena.leaderboard.board import print_board

    print_board(runs, format, head or (), task, sort)


def reproduce(
    row: Annotated[Path, typer.Argument(callback=checked(check_path), help="RUN/HEAD, or its result.json")],
    out: Annotated[
        Path | None, typer.Option("--out", callback=checked(check_out), help="run folder; default: reproduced/HEAD-...")
    ] = None,
    data: Annotated[
        str | None, typer.Option("--data", callback=checked(check_data), help="data spec, where the data have moved")
    ] = None,
    cache: options.Cache = None,
    device: Device = None,
) -> None:
    """Train a result again from its record, and report every difference; exit code 1 if there is one."""
    from argus_arena.comparison.reproduce import reproduce as again

    if not again(row, out, device, data, cache):
        raise typer.Exit(1)
