"""The option ``--plugin`` of both commands, which stands before the command's name."""

from __future__ import annotations

from typing import Annotated

import typer

from argus_core.single_file import register_all


def take_plugin_files(app: typer.Typer, help: str) -> None:
    """Give ``app`` the option; ``help`` is the command's own sentence."""
    app.callback(help=help)(before)


def before(
    plugin: Annotated[
        list[str] | None,
        typer.Option("--plugin", metavar="FILE.py[:OBJECT]", help="register what a Python file defines; repeatable"),
    ] = None,
) -> None:
    """Register what the files define, before the command runs."""
    for spec in plugin or ():
        register_all(spec)
