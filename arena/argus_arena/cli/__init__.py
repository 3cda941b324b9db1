"""The ``arena`` command. Nothing here imports torch until a command needs it."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from argus_arena.cli import caching, checking, comparing, domaining, listing, plugin, reporting, training, using
from argus_core.errors import ArgusError
from argus_core.single_file import register_all

app = typer.Typer(
    name="arena",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (listing, checking, caching, training, comparing, domaining, reporting, using, plugin):
    module.add_to(app)


@app.callback()
def before(
    plugin: Annotated[
        list[str] | None,
        typer.Option("--plugin", metavar="FILE.py[:OBJECT]", help="register what a Python file defines; repeatable"),
    ] = None,
) -> None:
    """Train, score and compare heads on one frozen vision backbone."""
    for spec in plugin or ():
        register_all(spec)


def main() -> None:
    """Run the command; faults the user can mend are one message and exit code 2, Ctrl-C is 130."""
    try:
        app()
    except ArgusError as error:
        if os.environ.get("ARGUS_DEBUG") == "1":
            raise
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        if os.environ.get("ARGUS_DEBUG") == "1":
            raise
        print(f"error: {error.filename}: {error.strerror}" if error.filename else f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
