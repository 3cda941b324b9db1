"""What commands are asked: one class per request, whose fields are the options. Nothing here imports torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from argus_core.canvas.large import Tiling
from argus_core.cli.early import (
    check_merge,
    check_out,
    check_overlap,
    check_path,
    check_run,
    check_saved,
    check_tiles,
    check_which,
    checked,
    one_of,
    parse_tiles,
    placed,
)
from argus_core.cli.options import Annotations, CanvasSize, Device, License, Overwrite, Taught
from argus_core.errors import ArgusError
from argus_core.formats.table import OTHERS
from argus_core.registry.places import DEFAULT_MODEL, check_model, check_repository

Inputs = Annotated[
    list[str], typer.Argument(help="images, folders, globs, web addresses, videos, streams, or webcam:0")
]
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        callback=checked(check_model),
        help="folder or hub id of a saved Argus, or a run of `arena train`",
        show_default=f"{DEFAULT_MODEL}, which is built in",
    ),
]
Out = Annotated[Path, typer.Option("--out", callback=checked(check_out), help="folder to write")]
Tasks = Annotated[str | None, typer.Option("--tasks", help="comma-separated tasks or heads; default: all")]
HeadName = Annotated[str | None, typer.Option("--head", help="which head answers, where several could")]
Threshold = Annotated[float, typer.Option("--threshold", min=0, max=1, help="lowest score of a detection")]
Batch = Annotated[int, typer.Option("--batch", min=1, help="images per backbone pass")]
TileSize = Annotated[
    str | None,
    typer.Option(
        "--tiles",
        callback=checked(check_tiles),
        help="SIZE: look at large images by tiles of so many pixels of the image; auto: of as many as the canvas has",
    ),
]
Overlap = Annotated[
    float | None,
    typer.Option(
        "--overlap", callback=checked(check_overlap), help="least share that tiles have in common", show_default="0.2"
    ),
]
TileMerge = Annotated[
    str | None,
    typer.Option(
        "--tile-merge",
        callback=checked(check_merge),
        help="tokens: heads run once on those of all tiles; results: heads run on each tile, and answers are merged",
        show_default="tokens",
    ),
]
Every = Annotated[int, typer.Option("--every", min=1, help="of videos and streams, look at every n-th frame")]
Limit = Annotated[int, typer.Option("--limit", min=0, help="stop after so many frames of each video; 0 is all")]
GRAPHS = ("onnx", "torch", "openvino")
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
Save = Annotated[
    str | None,
    typer.Option(
        "--save", callback=checked(check_saved), help=f"comma-separated formats to write as well: {', '.join(OTHERS)}"
    ),
]
Embeddings = Annotated[bool, typer.Option("--embeddings", help="also a vector of every object and image")]
Track = Annotated[bool, typer.Option("--track", help="of films, also an id of every object that it keeps over time")]
EmbeddingLayer = Annotated[
    int | None,
    typer.Option(
        "--embedding-layer",
        help="block that vectors come from; -1 is the last",
        show_default="one that detectors read, or else any head",
    ),
]
OUT = Path("argus-out")


@dataclass(frozen=True, kw_only=True)
class LookRequest:
    """What heads shall say about images; without ``model`` the built-in one answers.

    ``pictures``: one of every image with all answers; ``each``: one of every answer. ``weights`` of the backbone are
    named for a run whose own have moved. ``save`` names formats besides those that are always written.
    """

    inputs: Inputs
    model: Model = None
    out: Out = OUT
    tasks: Tasks = None
    head: HeadName = None
    top_k: Annotated[int, typer.Option("--top-k", min=1, help="classes listed per image")] = 5
    threshold: Threshold = 0.3
    canvas: CanvasSize = None
    tiles: TileSize = None
    overlap: Overlap = None
    tile_merge: TileMerge = None
    pictures: Annotated[bool, typer.Option(help="also write pictures of the answers")] = True
    each: Annotated[bool, typer.Option("--each", help="also a picture of each answer by itself")] = False
    every: Every = 1
    limit: Limit = 0
    batch: Batch = 8
    device: Device = None
    require_license: License = None
    annotations: Annotations = None
    save: Save = None
    embeddings: Embeddings = False
    embedding_layer: EmbeddingLayer = None
    track: Track = False
    weights: Path | None = None


@dataclass(frozen=True, kw_only=True)
class MatchRequest:
    """The points of one image that shall be found in another."""

    first: Annotated[str, typer.Argument(help="the image that the points are in: a file or an address")]
    second: Annotated[str, typer.Argument(help="the image to find them in")]
    points: Annotated[list[str], typer.Option("--point", help="X,Y in pixels of the first image; repeatable")]
    model: Model = None
    out: Out = OUT
    head: HeadName = None
    canvas: CanvasSize = None
    tiles: TileSize = None
    overlap: Overlap = None
    device: Device = None
    require_license: License = None


@dataclass(frozen=True, kw_only=True)
class TokensRequest:
    """Images whose tokens shall be written and shown."""

    inputs: Inputs
    model: Model = None
    out: Out = OUT
    point: Annotated[str | None, typer.Option("--point", help="X,Y in pixels: also show what is like it")] = None
    layer: Annotated[int, typer.Option("--layer", help="block whose tokens are looked at; -1 is the last")] = -1
    canvas: CanvasSize = None
    tiles: TileSize = None
    overlap: Overlap = None
    every: Every = 1
    limit: Limit = 0
    device: Device = None
    require_license: License = None


@dataclass(frozen=True, kw_only=True)
class BuildRequest:
    """The runs that become one model."""

    runs: Annotated[
        list[Path],
        typer.Argument(callback=placed(check_run), help="run folders of `arena train`, or single heads of them"),
    ]
    out: Annotated[Path, typer.Option("--out", callback=placed(check_out), help="folder to write the model to")]
    weights: Annotated[Path | None, typer.Option("--weights", help="backbone weights, if they moved")] = None
    which: Annotated[str, typer.Option("--weights-of", callback=checked(check_which), help="best or last")] = "best"
    variant: Variant = None
    canvas: CanvasSize = None
    overwrite: Overwrite = False
    require_license: License = None


@dataclass(frozen=True, kw_only=True)
class ExportRequest:
    """The format in which a model shall be written."""

    out: Annotated[Path, typer.Option("--out", callback=checked(check_out), help="folder to write")]
    model: Model = None
    format: Annotated[
        str,
        typer.Option("--format", callback=checked(one_of("export format", FORMATS)), help=", ".join(FORMATS)),
    ] = "bundle"
    variant: Variant = None
    int8: Annotated[
        Path | None,
        typer.Option(
            "--int8",
            callback=checked(check_path),
            help="folder of images like yours: of openvino, calibrate the backbone in int8 on half, check it on others",
        ),
    ] = None
    verify: Annotated[bool, typer.Option(help="compare graphs with the model at six sizes")] = True
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="leave out heads whose package is not installed")
    ] = False
    require_license: License = None
    tasks: Tasks = None
    embeddings: Embeddings = False
    embedding_layer: EmbeddingLayer = None


@dataclass(frozen=True, kw_only=True)
class PushRequest:
    """What of a model shall be published, and where."""

    repository: Annotated[str, typer.Argument(callback=checked(check_repository), help="OWNER/NAME on the hub")]
    model: Model = None
    private: Annotated[bool, typer.Option("--private", help="a new repository that others cannot see")] = False
    revision: Annotated[str | None, typer.Option("--revision", help="branch; made if there is none")] = None
    variant: Variant = None
    tasks: Tasks = None
    message: Annotated[str | None, typer.Option("--message", help="of the commit; default: heads and backbone")] = None
    license_file: Annotated[
        Path | None,
        typer.Option("--license-file", callback=checked(check_path), help="text of the terms, published as LICENSE"),
    ] = None
    dry_run: Annotated[bool, typer.Option("--dry-run", help="print files and model card; ask the hub nothing")] = False
    accept_license: Annotated[
        bool, typer.Option("--accept-license", help="I read the terms of all parts, and may publish them")
    ] = False
    require_license: License = None


@dataclass(frozen=True, kw_only=True)
class ServeRequest:
    """The model that shall answer over HTTP, where, to whom, and within which limits."""

    model: Model = None
    host: Annotated[
        str, typer.Option("--host", help="where to listen; other than on this machine alone needs a token")
    ] = "127.0.0.1"
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes a free one")] = 8000
    token: Annotated[
        str | None,
        typer.Option("--token", envvar="ARGUS_TOKEN", show_envvar=True, help="what clients send to be answered"),
    ] = None
    tasks: Tasks = None
    batch: Batch = 8
    wait: Annotated[float, typer.Option("--wait", min=0, max=1000, help="ms that an image waits for others")] = 5
    queue: Annotated[int, typer.Option("--queue", min=1, help="images that wait at most; one more gets 503")] = 64
    timeout: Annotated[
        float,
        typer.Option("--timeout", min=0.1, max=86400, help="seconds to receive a request, and to answer it"),
    ] = 60
    max_upload_mb: Annotated[
        float, typer.Option("--max-upload-mb", min=0.001, max=4000, help="largest request in MB")
    ] = 32
    max_megapixels: Annotated[float, typer.Option("--max-megapixels", min=0.001, max=1000, help="largest image")] = 25
    max_images: Annotated[int, typer.Option("--max-images", min=1, help="images in a request")] = 16
    urls: Annotated[
        bool, typer.Option("--urls", help="also fetch images from public web addresses that clients name")
    ] = False
    taught: Taught = None
    canvas: CanvasSize = None
    tiles: TileSize = None
    overlap: Overlap = None
    device: Device = None
    require_license: License = None


def tiling(tiles: str | None, overlap: float | None, merge: str | None = None) -> Tiling | None:
    """How large images shall be looked at; raises ArgusError for an overlap or a merging without tiles."""
    asked = {"--overlap": overlap, "--tile-merge": merge}
    if tiles is None and (idle := [name for name, value in asked.items() if value is not None]):
        raise ArgusError(f"{' and '.join(idle)} has nothing to act on: add --tiles auto, or --tiles SIZE")
    if tiles is None:
        return None
    values: dict[str, Any] = {"overlap": overlap, "merge": merge}
    return Tiling(parse_tiles(tiles), **{name: value for name, value in values.items() if value is not None})


def check_embeddings(request: LookRequest | ExportRequest) -> None:
    """Raise ArgusError for a layer of embeddings that nobody asked for."""
    follows = isinstance(request, LookRequest) and request.track
    if request.embedding_layer is not None and not (request.embeddings or follows):
        raise ArgusError(f"--embedding-layer {request.embedding_layer} has nothing to act on: add --embeddings")


def split_names(text: str | None) -> list[str] | None:
    """The names in a text with commas; None if there is no text."""
    return [part.strip() for part in text.split(",") if part.strip()] if text else None
