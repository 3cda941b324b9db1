"""Commands that train and score: train, eval."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from argus_arena.cli import options
from argus_arena.cli.options import BackboneSet, MetricSet, Protocol, RequireLicense, RunPath, Settings, Weights
from argus_arena.run.config_file import check_names
from argus_core.cli.app import Device
from argus_core.cli.early import check_data, check_head, check_out, check_which, checked


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(train)
    app.command(name="eval")(evaluate)


def train(
    head: Annotated[
        list[str] | None,
        typer.Option(
            "--head",
            callback=checked(check_head),
            help="registered head such as depth.linear, or NAME=HEAD; repeatable",
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            callback=checked(check_data),
            help="data spec, such as coco:PATH, folder:PATH or images:PATH,masks=DIR",
        ),
    ] = None,
    cache: options.Cache = None,
    backbone: options.LiveBackbone = None,
    weights: Weights = None,
    backbone_set: BackboneSet = None,
    canvas: options.LiveCanvas = None,
    fit: options.LiveFit = None,
    views: Annotated[str | None, typer.Option("--views", help="views to train on, such as id,hflip")] = None,
    train_split: Annotated[str | None, typer.Option("--train-split")] = None,
    val_split: Annotated[str | None, typer.Option("--val-split", help="split that is scored")] = None,
    recipe: options.Recipe = None,
    settings: Settings = None,
    config: options.Config = None,
    out: Annotated[
        Path | None, typer.Option("--out", callback=checked(check_out), help="run folder; the same command resumes it")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed")] = None,
    device: Device = None,
    workers: Annotated[int | None, typer.Option("--workers", help="processes that read batches ahead")] = None,
    eval_every: Annotated[float | None, typer.Option("--eval-every", help="epochs between evaluations")] = None,
    metric: MetricSet = None,
    protocol: Protocol = None,
    accept_faults: options.AcceptFaults = False,
    new_device: options.NewDevice = False,
    require_license: RequireLicense = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="print the resolved configuration and stop")] = False,
) -> None:
    """Train heads side by side on cached or live tokens and score them; run it again to resume.

    A head is called by what follows the task in its name, linear for
    depth.linear, or by all of it, depth_linear, where several heads of the run
    share that part. NAME=HEAD gives it another name.
    """
    given = options.run_keys(
        heads=tuple(head) if head else None,
        data=data,
        cache=cache,
        backbone=backbone,
        weights=weights,
        backbone_set=backbone_set,
        canvas=canvas,
        fit=fit,
        views=views,
        recipe=recipe,
        train_split=train_split,
        val_split=val_split,
        seed=seed,
        device=device,
        workers=workers,
        eval_every=eval_every,
        metric=metric,
        protocol=protocol,
        accept_faults=accept_faults or None,
        new_device=new_device or None,
        require_license=require_license,
    )
    check_names(given, config)  # before torch is imported
    from argus_arena.training.train import train_run

    train_run(given, options.pairs(settings), config, out, dry_run)


def evaluate(
    run: RunPath,
    data: Annotated[
        str | None, typer.Option("--data", callback=checked(check_data), help="other data than the run's")
    ] = None,
    split: Annotated[str, typer.Option("--split")] = "val",
    which: Annotated[str, typer.Option("--weights-of", callback=checked(check_which), help="best or last")] = "best",
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="decoding option, e.g. soft=true")
    ] = None,
    metric: MetricSet = None,
    protocol: Protocol = None,
    explain: Annotated[bool, typer.Option("--explain", help="print every choice behind the scores and stop")] = False,
    weights: Annotated[Path | None, typer.Option("--weights", help="backbone weights, if they moved")] = None,
    batch: Annotated[int, typer.Option("--batch", min=1, help="images per backbone pass")] = 8,
    accept_faults: options.AcceptFaults = False,
    device: Device = None,
) -> None:
    """Score saved heads with live tokens: on a split, on other data, or under a published protocol."""
    from argus_arena.tools.rescore import EvalRequest, evaluate_run

    request = EvalRequest(
        run,
        data,
        split,
        which,
        protocol,
        options.pairs(settings),
        options.pairs(metric),
        weights,
        device,
        batch,
        accept_faults,
    )
    if explain:
        from argus_arena.tools.explain import print_explanation

        print_explanation(request)
    else:
        evaluate_run(request)
