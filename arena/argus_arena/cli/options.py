"""Command-line options that several commands share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from argus_core.cli.early import (
    check_backbone,
    check_fit,
    check_license,
    check_path,
    check_protocol,
    check_run,
    check_size,
    checked,
    one_of,
)
from argus_core.common.options import parse_value
from argus_core.errors import ArgusError

Weights = Annotated[Path | None, typer.Option("--weights", help="weights file of the backbone")]
BackboneSet = Annotated[
    list[str] | None,
    typer.Option("--backbone-set", metavar="KEY=VALUE", help="option of the backbone, e.g. mean=0.5"),
]
CanvasSize = Annotated[
    str,
    typer.Option(
        "--canvas", callback=checked(check_size), help="SIZE or HEIGHTxWIDTH of the backbone's input in pixels"
    ),
]
Fit = Annotated[str, typer.Option("--fit", callback=checked(check_fit), help="letterbox, stretch or crop")]
Backbone = Annotated[str, typer.Option("--backbone", callback=checked(check_backbone))]
RunPath = Annotated[
    Path, typer.Option("--run", callback=checked(check_run), help="run folder, or one head's folder inside it")
]
LiveBackbone = Annotated[
    str | None,
    typer.Option("--backbone", callback=checked(check_backbone), help="train on live tokens of this backbone"),
]
LiveCanvas = Annotated[
    str | None, typer.Option("--canvas", callback=checked(check_size), help="SIZE or HEIGHTxWIDTH, for live tokens")
]
LiveFit = Annotated[
    str | None,
    typer.Option("--fit", callback=checked(check_fit), help="letterbox, stretch or crop, for live tokens"),
]
Cache = Annotated[
    Path | None, typer.Option("--cache", callback=checked(check_path), help="folder written by `arena cache`")
]
Config = Annotated[
    Path | None,
    typer.Option("--config", callback=checked(check_path), help="TOML file with the same keys; options win"),
]
MetricSet = Annotated[
    list[str] | None, typer.Option("--metric", metavar="KEY=VALUE", help="option of the scoring, e.g. backend=faster")
]
Protocol = Annotated[
    str | None,
    typer.Option(
        "--protocol",
        callback=checked(check_protocol),
        help="score under a published protocol; `arena protocols` lists them",
    ),
]
AcceptFaults = Annotated[
    bool, typer.Option("--accept-faults", help="go on with data whose faults would make the result wrong")
]
NewDevice = Annotated[
    bool, typer.Option("--new-device", help="go on with a run that another type of device or precision began")
]
RequireLicense = Annotated[
    str | None,
    typer.Option(
        "--require-license",
        callback=checked(check_license),
        help="permissive: refuse weights under any other terms",
    ),
]
Recipe = Annotated[
    str | None,
    typer.Option(
        "--recipe",
        callback=checked(one_of("recipe", ("auto", "card"))),
        help="auto: suited to the size of the data; card: as published",
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="recipe field or head option; HEAD.KEY=VALUE for one head"),
]


def run_keys(
    *, backbone_set: Sequence[str] | None, views: str | None, metric: Sequence[str] | None, **values: Any
) -> dict[str, Any]:
    """What a command line says of a run, as keys of ``RunRequest``; what is None was not said."""
    said = {
        **values,
        "backbone_options": pairs(backbone_set) or None,
        "views": names(views) if views else None,
        "metric": pairs(metric) or None,
    }
    return {key: str(value) if isinstance(value, Path) else value for key, value in said.items() if value is not None}


def pairs(texts: Sequence[str] | None) -> dict[str, Any]:
    """``KEY=VALUE`` texts as a dictionary, values parsed."""
    values = {}
    for text in texts or ():
        key, equals, value = text.partition("=")
        if not equals:
            raise ArgusError(f"{text!r} is not KEY=VALUE")
        values[key.strip()] = parse_value(value)
    return values


def integers(text: str) -> tuple[int, ...]:
    """Comma-separated whole numbers."""
    try:
        return tuple(int(part) for part in names(text))
    except ValueError as error:
        raise ArgusError(f"{text!r} are not whole numbers, such as 2,5,8,11") from error


def names(text: str) -> tuple[str, ...]:
    """Comma-separated names."""
    return tuple(part.strip() for part in text.split(",") if part.strip())
