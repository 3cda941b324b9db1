"""Commands that use what was trained: predict, and text for class vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from argus_arena.cli.options import RunPath
from argus_core.cli.ask import look_at
from argus_core.cli.early import check_out, checked, checked_data
from argus_core.cli.options import Annotations, Device
from argus_core.cli.requests import (
    Batch,
    EmbeddingLayer,
    Embeddings,
    Inputs,
    LookRequest,
    Out,
    Overlap,
    Save,
    Threshold,
    TileMerge,
    TileSize,
)
from argus_core.errors import ArgusError


def predict(
    images: Inputs,
    run: RunPath,
    out: Out = Path("predictions"),
    threshold: Threshold = 0.3,
    weights: Annotated[Path | None, typer.Option("--weights", help="backbone weights, if they moved")] = None,
    batch: Batch = 8,
    device: Device = None,
    annotations: Annotations = None,
    save: Save = None,
    embeddings: Embeddings = False,
    embedding_layer: EmbeddingLayer = None,
    tiles: TileSize = None,
    overlap: Overlap = None,
    tile_merge: TileMerge = None,
) -> None:
    """What every head of a run says about images, as `argus perceive` does, with a picture of each answer."""
    request = LookRequest(
        inputs=images,
        model=str(run),
        out=out,
        threshold=threshold,
        weights=weights,
        tiles=tiles,
        overlap=overlap,
        tile_merge=tile_merge,
        batch=batch,
        device=device,
        annotations=annotations,
        save=save,
        embeddings=embeddings,
        embedding_layer=embedding_layer,
        pictures=False,
        each=True,
    )
    look_at(request)


def text(
    out: Annotated[Path, typer.Option("--out", callback=checked(check_out), help="safetensors file to write")],
    data: Annotated[
        str | None, typer.Option("--data", callback=checked_data, help="take the class names from a data set")
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
