"""Commands about models: build, info, export, bench."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from argus_core.cli.app import Device
from argus_core.cli.early import check_out, check_run, check_which, checked, one_of
from argus_core.cli.requests import CanvasSize, License, Model, Tasks, split_names
from argus_core.errors import ArgusError
from argus_core.registry.places import DEFAULT_MODEL, check_model

GRAPHS = ("onnx", "torch")
FORMATS = ("bundle", "hf", *GRAPHS)
VARIANTS = ("bf16_backbone", "heads")
Variant = Annotated[
    str | None,
    typer.Option(
        "--variant",
        callback=checked(one_of("variant", VARIANTS)),
        help="bf16_backbone: half the size on disk; heads: without the backbone",
    ),
]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (build, info, export, bench):
        app.command()(command)


def build(
    runs: Annotated[
        list[Path],
        typer.Argument(callback=checked(check_run), help="run folders of `arena train`, or single heads of them"),
    ],
    out: Annotated[Path, typer.Option("--out", callback=checked(check_out), help="folder to write the model to")],
    weights: Annotated[Path | None, typer.Option("--weights", help="backbone weights, if they moved")] = None,
    which: Annotated[str, typer.Option("--weights-of", callback=checked(check_which), help="best or last")] = "best",
    variant: Variant = None,
    canvas: CanvasSize = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="write into a folder that holds something")] = False,
    require_license: License = None,
) -> None:
    """Make one model of the heads of several runs on the same backbone."""
    if not overwrite and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ArgusError(f"{out} exists already; choose another --out, or write into it with --overwrite")
    from argus_core.cli.model_work import build_model

    build_model(runs, out, weights, which, variant, canvas, require_license)


def info(
    model: Annotated[
        str | None,
        typer.Argument(
            callback=checked(check_model),
            help="folder or hub id of a saved Argus, or a run",
            show_default=f"{DEFAULT_MODEL}, which is built in",
        ),
    ] = None,
) -> None:
    """What a model holds: backbone, heads, classes, canvases, scores, licences."""
    from argus_core.cli.model_work import describe

    print(describe(model))


def export(
    out: Annotated[Path, typer.Option("--out", callback=checked(check_out), help="folder to write")],
    model: Model = None,
    format: Annotated[
        str,
        typer.Option("--format", callback=checked(one_of("export format", FORMATS)), help="bundle, hf, onnx or torch"),
    ] = "bundle",
    variant: Variant = None,
    verify: Annotated[bool, typer.Option(help="compare graphs with the model at six sizes")] = True,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="leave out heads whose package is not installed")
    ] = False,
    require_license: License = None,
    tasks: Tasks = None,
) -> None:
    """Write a model for other programs: ONNX or PyTorch graphs, a folder for transformers, or a bundle of Argus."""
    if format in GRAPHS and variant is not None:
        raise ArgusError(f"--variant {variant} is of bundles and hf folders; {format} graphs hold float32 weights")
    from argus_core.cli.model_work import export_model

    export_model(model, out, format, variant, require_license, verify, allow_missing, split_names(tasks))


def bench(
    model: Model = None,
    canvas: CanvasSize = None,
    batch: Annotated[int, typer.Option("--batch", min=1, help="images per pass")] = 1,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="timed passes")] = 5,
    device: Device = None,
) -> None:
    """Milliseconds of the backbone and of every head, the median of several passes."""
    from argus_core.cli.model_work import bench_model

    bench_model(model, canvas, batch, rounds, device)
