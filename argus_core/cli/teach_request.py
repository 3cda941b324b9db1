"""What the command that teaches takes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from argus_core.cli.early import check_head, check_out, check_path, check_size, checked, checked_data, placed
from argus_core.cli.options import Device, License, Overwrite
from argus_core.cli.requests import Model, Variant


@dataclass(frozen=True, kw_only=True)
class TeachRequest:
    """The images that a model shall learn from, and those of which the most instructive are asked for.

    At least one of ``data`` and ``suggest`` is given; with ``data`` there is a place for the model, or ``suggest``.
    """

    data: Annotated[
        str | None,
        typer.Argument(
            callback=checked_data, help="annotated images: a data spec, or a path, such as a folder of folders"
        ),
    ] = None
    model: Model = None
    out: Annotated[
        Path | None, typer.Option("--out", callback=placed(check_out), help="folder to write the taught model to")
    ] = None
    name: Annotated[
        str | None, typer.Option("--name", help="what the model calls the new head", show_default="after the data")
    ] = None
    task: Annotated[str | None, typer.Option("--task", help="which annotations, where there are several kinds")] = None
    head: Annotated[
        str | None,
        typer.Option(
            "--head",
            callback=checked(check_head),
            help="a head that is solved",
            show_default="the ridge head of the task",
        ),
    ] = None
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="option of the head; repeatable")
    ] = None
    split: Annotated[
        str | None, typer.Option("--split", help="which images to learn from", show_default="train, or the only split")
    ] = None
    canvas: Annotated[
        str | None,
        typer.Option(
            "--canvas",
            callback=checked(check_size),
            help="SIZE or HEIGHTxWIDTH that the new head looks at",
            show_default="that of the model's other heads",
        ),
    ] = None
    folds: Annotated[
        int, typer.Option("--folds", min=0, help="parts of the images for the cross-validated score; 0: no score")
    ] = 5
    replace: Annotated[bool, typer.Option("--replace", help="in place of a head of that name")] = False
    overwrite: Overwrite = False
    variant: Variant = None
    suggest: Annotated[
        Path | None,
        typer.Option(
            "--suggest", callback=checked(check_path), help="folder of images: which should be annotated next?"
        ),
    ] = None
    count: Annotated[int, typer.Option("--count", min=1, help="how many images are suggested")] = 16
    suggest_out: Annotated[
        Path,
        typer.Option(
            "--suggest-out",
            callback=checked(partial(check_out, option="--suggest-out")),
            help="folder for the suggestions",
        ),
    ] = Path("argus-suggest")
    device: Device = None
    require_license: License = None
    accept_faults: Annotated[
        bool,
        typer.Option("--accept-faults", help="go on with data whose faults make a head wrong, without unusable images"),
    ] = False
