"""Options that several commands share, and options made of the fields of a request."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_type_hints

import typer

from argus_core.cli.early import check_device, check_license, check_out, check_path, check_size, checked

R = TypeVar("R")


def options_of(request: type[R], without: Collection[str] = ()) -> Callable[[Callable[[R], None]], Callable[..., None]]:
    """Decorate a function of one ``request``, so that it is a command whose options are the fields of that dataclass.

    Fields are annotated for typer: ``Annotated[int, typer.Option()]``. Those ``without`` an option keep their defaults.
    """
    hints = get_type_hints(request, include_extras=True)
    parameters = [
        parameter.replace(annotation=hints[name])
        for name, parameter in inspect.signature(request).parameters.items()
        if name not in without
    ]

    def decorate(run: Callable[[R], None]) -> Callable[..., None]:
        @functools.wraps(run)
        def command(**values: Any) -> None:
            run(request(**values))

        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return command

    return decorate


Device = Annotated[
    str | None,
    typer.Option(
        "--device", callback=checked(check_device), help="cpu, cuda, cuda:1; default: a GPU where there is one"
    ),
]
Annotations = Annotated[
    Path | None,
    typer.Option(
        "--annotations",
        callback=checked(check_path),
        help="annotations of the images in COCO's format: COCO results get the ids of their images and categories",
    ),
]
CanvasSize = Annotated[
    str | None,
    typer.Option(
        "--canvas", callback=checked(check_size), help="SIZE or HEIGHTxWIDTH: all heads on one pass of this canvas"
    ),
]
Taught = Annotated[
    Path | None,
    typer.Option(
        "--taught",
        callback=checked(partial(check_out, option="--taught")),
        help="folder for models that are taught on the page",
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="write into a folder that holds something")]
License = Annotated[
    str | None,
    typer.Option("--require-license", callback=checked(check_license), help="permissive: leave out heads that are not"),
]
