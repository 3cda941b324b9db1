"""Commands that use what was trained: predict, and text for class vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from argus_arena.cli.options import RunPath
from argus_core.cli.app import Annotations, Device
from argus_core.cli.early import check_data, check_out, checked
from argus_core.errors import ArgusError


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(predict)
    app.command()(text)


def predict(
    images: Annotated[list[Path], typer.Argument(help="images or folders of images")],
    run: RunPath,
    out: Annotated[
        Path, typer.Option("--out", callback=checked(check_out), help="folder for pictures and predictions.json")
    ] = Path("predictions"),
    threshold: Annotated[float, typer.Option("--threshold", min=0, max=1, help="lowest score that is kept")] = 0.3,
    weights: Annotated[Path | None, typer.Option("--weights", help="backbone weights, if they moved")] = None,
    batch: Annotated[int, typer.Option("--batch", min=1, help="images per backbone pass")] = 8,
    device: Device = None,
    annotations: Annotations = None,
) -> None:
    """Detect in images: HEAD/predictions.json (COCO results) and pictures; bad files are listed at the end."""
    from argus_arena.tools.predict import predict_images

    bad = predict_images(run, images, out, threshold, weights, batch, device, annotations)
    if bad:
        raise typer.Exit(1)


def text(
    out: Annotated[Path, typer.Option("--out", callback=checked(check_out), help="safetensors file to write")],
    data: Annotated[
        str | None, typer.Option("--data", callback=checked(check_data), help="take the class names from a data set")
    ] = None,
    names: Annotated[str | None, typer.Option("--names", help="comma-separated class names")] = None,
    model: Annotated[str, typer.Option("--model", help="open_clip model")] = "ViT-L-14",
    pretrained: Annotated[str, typer.Option("--pretrained", help="open_clip weights name or file")] = "openai",
) -> None:
    """Write class vectors from a CLIP text encoder (eight prompts averaged), for `--set text=FILE`."""
    if (data is None) == (names is None):
        raise ArgusError("say whose vectors: either --data SPEC or --names a,b,c")
    from argus_arena.tools.class_vectors import write_text

    write_text(out, data, names, model, pretrained)
