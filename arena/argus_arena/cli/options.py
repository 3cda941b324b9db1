"""Command-line options that several commands share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from argus_core.errors import ArgusError
from argus_core.options import parse_value

Weights = Annotated[Path | None, typer.Option("--weights", help="weights file of the backbone")]
BackboneSet = Annotated[
    list[str] | None,
    typer.Option("--backbone-set", metavar="KEY=VALUE", help="option of the backbone, e.g. mean=0.5"),
]
CanvasSize = Annotated[str, typer.Option("--canvas", help="SIZE or HEIGHTxWIDTH of the backbone's input in pixels")]
Fit = Annotated[str, typer.Option("--fit", help="letterbox, stretch or crop")]
Device = Annotated[str | None, typer.Option("--device", help="cpu, cuda, cuda:1; default: a GPU where there is one")]
MetricSet = Annotated[
    list[str] | None, typer.Option("--metric", metavar="KEY=VALUE", help="option of the scoring, e.g. backend=faster")
]
Protocol = Annotated[
    str | None, typer.Option("--protocol", help="score under a published protocol; `arena protocols` lists them")
]
RequireLicense = Annotated[
    str | None, typer.Option("--require-license", help="permissive: refuse weights under any other terms")
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
