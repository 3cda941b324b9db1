"""Commands about models: build, info, export, bench."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from argus_core.cli.asking import Device, Model, Require


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (build, info, export, bench):
        app.command()(command)


def build(
    runs: Annotated[list[Path], typer.Argument(help="run folders of `arena train`, or single heads of them")],
    out: Annotated[Path, typer.Option("--out", help="folder to write the model to")],
    weights: Annotated[Path | None, typer.Option("--weights", help="backbone weights, if they moved")] = None,
    which: Annotated[str, typer.Option("--weights-of", help="best or last")] = "best",
    variant: Annotated[str | None, typer.Option("--variant", help="bf16_backbone: half the size on disk")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="write into a folder that holds something")] = False,
    require_license: Require = None,
) -> None:
    """Make one model of the heads of several runs on the same backbone."""
    from argus_core.cli.building import build_model

    build_model(runs, out, weights, which, variant, require_license, overwrite)


def info(model: Annotated[str, typer.Argument(help="folder or hub id of a saved Argus, or a run")]) -> None:
    """What a model holds: backbone, heads, classes, canvases, scores, licences."""
    from argus_core.cli.describe import describe

    print(describe(model))


def export(
    model: Model,
    out: Annotated[Path, typer.Option("--out", help="folder to write")],
    format: Annotated[str, typer.Option("--format", help="bundle, hf, onnx or torch")] = "bundle",
    variant: Annotated[str | None, typer.Option("--variant", help="bf16_backbone: half the size on disk")] = None,
    verify: Annotated[bool, typer.Option(help="compare graphs with the model at six sizes")] = True,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="leave out heads whose package is not installed")
    ] = False,
    require_license: Require = None,
) -> None:
    """Write a model for other programs: ONNX or PyTorch graphs, a folder for transformers, or a bundle of Argus."""
    from argus_core.cli.describe import export_model

    export_model(model, out, format, variant, require_license, verify, allow_missing)


def bench(
    model: Model,
    canvas: Annotated[
        str | None, typer.Option("--canvas", help="SIZE or HEIGHTxWIDTH; default: the heads' own")
    ] = None,
    batch: Annotated[int, typer.Option("--batch", min=1, help="images per pass")] = 1,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="timed passes")] = 5,
    device: Device = None,
) -> None:
    """Milliseconds of the backbone and of every head, the median of several passes."""
    from argus_core.cli.bench import bench_model

    bench_model(model, canvas, batch, rounds, device)
