"""What both command lines share: the program, its error messages, and the options before the command name."""

from __future__ import annotations

import io
import platform
import sys
import warnings
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer

from argus_core.cli.lazy import LazyGroup
from argus_core.common.allocator import keep_memory
from argus_core.errors import ArgusError
from argus_core.registry.loading import debugging

INTERRUPTED = 130
"""The exit code after Ctrl-C, as of a shell."""


def run_command(app: typer.Typer) -> None:
    """Run ``app``: errors that the user can fix are one message and exit code 2, Ctrl-C is exit code 130 and a word."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal may not be UTF-8
    # Sizes are checked before images are decoded, and what is too large is said in words of its own.
    warnings.filterwarnings("ignore", message="Image size .* exceeds limit")
    keep_memory()
    try:
        app()
    except (ArgusError, OSError) as error:
        if debugging():
            raise
        named = isinstance(error, OSError) and error.filename is not None
        message = f"{error.filename}: {error.strerror}" if named else str(error)  # type: ignore[union-attr]
        print(f"error: {message}", file=sys.stderr)
        sys.exit(2)
    except (KeyboardInterrupt, SystemExit) as error:  # typer makes the latter of the former
        if isinstance(error, SystemExit) and error.code != INTERRUPTED:
            raise
        print("interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)


PACKAGES = ("argus-perception", "torch", "timm")


def make_program(name: str, help: str, commands: Mapping[str, str]) -> typer.Typer:
    """The program ``name`` with the options before the command name, and ``commands``: ``module:attribute`` by name."""

    class Group(LazyGroup):
        places = commands

    app = typer.Typer(
        name=name,
        cls=Group,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback(help=help)(before)
    return app


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
    if plugin:
        from argus_core.plugins.files import register_all

        for spec in plugin:
            register_all(spec)
