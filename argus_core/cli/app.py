"""What both command lines share: error messages, options made of requests, and options before the command name."""

from __future__ import annotations

import functools
import inspect
import io
import platform
import sys
import warnings
from collections.abc import Callable, Collection
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_type_hints

import typer

from argus_core.cli.early import check_device, check_path, checked
from argus_core.errors import ArgusError
from argus_core.plugins.files import register_all
from argus_core.registry.loading import debugging

R = TypeVar("R")


def run_command(app: typer.Typer) -> None:
    """Run ``app``: errors that the user can fix are one message and exit code 2, Ctrl-C is exit code 130."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal may not be UTF-8
    # Sizes are checked before images are decoded, and what is too large is said in words of its own.
    warnings.filterwarnings("ignore", message="Image size .* exceeds limit")
    try:
        app()
    except (ArgusError, OSError) as error:
        if debugging():
            raise
        named = isinstance(error, OSError) and error.filename is not None
        message = f"{error.filename}: {error.strerror}" if named else str(error)  # type: ignore[union-attr]
        print(f"error: {message}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)


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
PACKAGES = ("argus-perception", "torch", "timm")


def take_front_options(app: typer.Typer, help: str) -> None:
    """Give ``app`` the options before the command name; ``help`` describes the whole command line."""
    app.callback(help=help)(before)


def versions() -> str:
    """The installed versions, a line each, read from metadata without importing anything."""
    return "\n".join([*(f"{name} {_version(name)}" for name in PACKAGES), f"python {platform.python_version()}"])


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "is not installed"


def _show_versions(wanted: bool) -> None:
    if wanted:
        print(versions())
        raise typer.Exit


def before(
    plugin: Annotated[
        list[str] | None,
        typer.Option("--plugin", metavar="FILE.py[:OBJECT]", help="register what a Python file defines; repeatable"),
    ] = None,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_versions, is_eager=True, help="print what is installed, and stop"),
    ] = False,
) -> None:
    """Register the plugins of files before the command runs."""
    for spec in plugin or ():
        register_all(spec)
