"""What both commands share: error messages, the options before the command name, and those that commands repeat."""

from __future__ import annotations

import functools
import inspect
import io
import platform
import sys
from collections.abc import Callable, Collection, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_type_hints

import typer
from typer.models import ArgumentInfo, OptionInfo

from argus_core.cli.early import check_device, check_path, checked
from argus_core.errors import ArgusError
from argus_core.plugins.files import register_all
from argus_core.registry.loading import debugging

R = TypeVar("R")


def run_command(app: typer.Typer) -> None:
    """Run ``app``: faults the user can mend are one message and exit code 2, Ctrl-C is 130."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # files are UTF-8; what a terminal shows is up to it
    try:
        app()
    except (ArgusError, OSError) as error:
        if debugging():
            raise
        named = isinstance(error, OSError) and error.filename is not None
        what = f"{error.filename}: {error.strerror}" if named else str(error)  # type: ignore[union-attr]
        print(f"error: {what}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)


def options_of(request: type[R], without: Collection[str] = ()) -> Callable[[Callable[[R], None]], Callable[..., None]]:
    """Decorate a function of one ``request``, so that it is a command whose options are the fields of that class.

    The class is a dataclass or a pydantic model, its fields are annotated for typer: ``Annotated[int, typer.Option()]``.
    A field of a pydantic model without such an annotation becomes ``--its-name``, and its description the help.
    Fields ``without`` an option keep their defaults.
    """
    parameters = [one for one in _parameters(request) if one.name not in without]

    def decorate(run: Callable[[R], None]) -> Callable[..., None]:
        @functools.wraps(run)
        def command(**values: Any) -> None:
            run(request(**values))

        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        command.__annotations__ = {one.name: one.annotation for one in parameters}
        return command

    return decorate


def _parameters(request: type[Any]) -> Iterator[inspect.Parameter]:
    hints = get_type_hints(request, include_extras=True)
    fields = getattr(request, "model_fields", {})
    for name, parameter in inspect.signature(request).parameters.items():
        hint = hints[name]
        if name in fields and not any(isinstance(one, OptionInfo | ArgumentInfo) for one in fields[name].metadata):
            option = typer.Option(f"--{name.replace('_', '-')}", help=fields[name].description)
            hint = Annotated[hint, option]
        yield inspect.Parameter(name, parameter.KEYWORD_ONLY, default=parameter.default, annotation=hint)


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
    """Give ``app`` the options; ``help`` is the command's own sentence."""
    app.callback(help=help)(before)


def versions() -> str:
    """What is installed, a line each, from metadata: nothing is imported."""
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
    """Register what the files define, before the command runs."""
    for spec in plugin or ():
        register_all(spec)
