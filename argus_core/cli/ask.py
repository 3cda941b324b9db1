"""Commands that look at images: perceive, classify, segment, depth, detect, correspond, features."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from argus_core.cli.app import Annotations, Device
from argus_core.cli.early import check_license, check_out, check_size, checked
from argus_core.cli.inputs import check_image, find_sources, parse_point
from argus_core.cli.question import Question
from argus_core.registry.places import DEFAULT_MODEL, check_asked, check_model

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
HeadName = Annotated[str | None, typer.Option("--head", help="which head answers, where several could")]
Batch = Annotated[int, typer.Option("--batch", min=1, help="images per backbone pass")]
CanvasSize = Annotated[
    str | None,
    typer.Option(
        "--canvas", callback=checked(check_size), help="SIZE or HEIGHTxWIDTH: all heads on one pass of this canvas"
    ),
]
Pictures = Annotated[bool, typer.Option(help="also write pictures of the answers")]
Every = Annotated[int, typer.Option("--every", min=1, help="of videos and streams, look at every n-th frame")]
Limit = Annotated[int, typer.Option("--limit", min=0, help="stop after so many frames of each video; 0 is all")]
Require = Annotated[
    str | None,
    typer.Option("--require-license", callback=checked(check_license), help="permissive: leave out heads that are not"),
]
Tasks = Annotated[str | None, typer.Option("--tasks", help="comma-separated tasks or heads; default: all")]
OUT = Path("argus-out")


def split_names(text: str | None) -> list[str] | None:
    """The names in a list with commas; None where none is given."""
    return [part.strip() for part in text.split(",") if part.strip()] if text else None


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (perceive, classify, segment, depth, detect, correspond, features):
        app.command()(command)


def perceive(
    inputs: Inputs,
    model: Model = None,
    out: Out = OUT,
    tasks: Tasks = None,
    threshold: Annotated[float, typer.Option("--threshold", min=0, max=1, help="lowest score of a detection")] = 0.3,
    canvas: CanvasSize = None,
    pictures: Pictures = True,
    each: Annotated[bool, typer.Option("--each", help="also a picture of each answer by itself")] = False,
    every: Every = 1,
    limit: Limit = 0,
    batch: Batch = 8,
    device: Device = None,
    require_license: Require = None,
    annotations: Annotations = None,
) -> None:
    """Everything at once: classes, masks, depth and objects of every image, one backbone pass per canvas."""
    asked = Question(
        inputs,
        model,
        out,
        split_names(tasks),
        threshold,
        canvas,
        pictures,
        each,
        every,
        limit,
        batch,
        device,
        require_license,
        annotations,
    )
    _look(asked)


def classify(
    inputs: Inputs,
    model: Model = None,
    out: Out = OUT,
    head: HeadName = None,
    top_k: Annotated[int, typer.Option("--top-k", min=1, help="classes listed per image")] = 5,
    canvas: CanvasSize = None,
    pictures: Pictures = True,
    every: Every = 1,
    limit: Limit = 0,
    batch: Batch = 8,
    device: Device = None,
    require_license: Require = None,
) -> None:
    """The best classes of every image."""
    asked = Question(
        inputs, model, out, None, 0.0, canvas, False, pictures, every, limit, batch, device, require_license
    )
    _look(asked, "classify", head, top_k=top_k)


def segment(
    inputs: Inputs,
    model: Model = None,
    out: Out = OUT,
    head: HeadName = None,
    canvas: CanvasSize = None,
    pictures: Pictures = True,
    every: Every = 1,
    limit: Limit = 0,
    batch: Batch = 8,
    device: Device = None,
    require_license: Require = None,
) -> None:
    """The class of every pixel: index masks, and overlays with a legend."""
    asked = Question(
        inputs, model, out, None, 0.0, canvas, False, pictures, every, limit, batch, device, require_license
    )
    _look(asked, "segment", head)


def depth(
    inputs: Inputs,
    model: Model = None,
    out: Out = OUT,
    head: HeadName = None,
    canvas: CanvasSize = None,
    pictures: Pictures = True,
    every: Every = 1,
    limit: Limit = 0,
    batch: Batch = 8,
    device: Device = None,
    require_license: Require = None,
) -> None:
    """Metres for every pixel: 16-bit PNG in millimetres, and pictures with a scale."""
    asked = Question(
        inputs, model, out, None, 0.0, canvas, False, pictures, every, limit, batch, device, require_license
    )
    _look(asked, "depth", head)


def detect(
    inputs: Inputs,
    model: Model = None,
    out: Out = OUT,
    head: HeadName = None,
    threshold: Annotated[float, typer.Option("--threshold", min=0, max=1, help="lowest score that is kept")] = 0.3,
    canvas: CanvasSize = None,
    pictures: Pictures = True,
    every: Every = 1,
    limit: Limit = 0,
    batch: Batch = 8,
    device: Device = None,
    require_license: Require = None,
    annotations: Annotations = None,
) -> None:
    """The objects of every image: COCO results, and pictures with named boxes."""
    asked = Question(
        inputs,
        model,
        out,
        None,
        threshold,
        canvas,
        False,
        pictures,
        every,
        limit,
        batch,
        device,
        require_license,
        annotations,
    )
    _look(asked, "detect", head)


def correspond(
    first: Annotated[str, typer.Argument(help="the image that the points are in: a file or an address")],
    second: Annotated[str, typer.Argument(help="the image to find them in")],
    points: Annotated[list[str], typer.Option("--point", help="X,Y in pixels of the first image; repeatable")],
    model: Model = None,
    out: Out = OUT,
    head: HeadName = None,
    canvas: CanvasSize = None,
    device: Device = None,
    require_license: Require = None,
) -> None:
    """Where points of one image lie in another: matches.json, and a picture with lines."""
    asked = [parse_point(text) for text in points]
    for image in (first, second):
        check_image(image)
    check_asked(model, None, "correspond", head)
    from argus_core.cli.look import match_images

    match_images(first, second, asked, model, out, head, canvas, device, require_license)


def features(
    inputs: Inputs,
    model: Model = None,
    out: Out = OUT,
    point: Annotated[str | None, typer.Option("--point", help="X,Y in pixels: also show what is like it")] = None,
    layer: Annotated[int, typer.Option("--layer", help="block whose tokens are looked at; -1 is the last")] = -1,
    canvas: CanvasSize = None,
    every: Every = 1,
    limit: Limit = 0,
    device: Device = None,
    require_license: Require = None,
) -> None:
    """The backbone's tokens: safetensors files, their principal components as colours, similarity to a point."""
    asked = None if point is None else parse_point(point)
    sources = find_sources(inputs, out)
    from argus_core.cli.features import show_tokens

    show_tokens(sources, model, out, asked, layer, canvas, every, limit, device, require_license)


def _look(asked: Question, task: str | None = None, head: str | None = None, **options: Any) -> None:
    sources = asked.check(task, head)  # before torch is imported
    from argus_core.cli.look import look

    look(asked, sources, task, head, **options)
