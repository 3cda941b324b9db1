"""The ``arena`` command. Nothing here imports torch until a command needs it."""

from __future__ import annotations

import sys

import typer

from argus_arena.cli import caching, checking, comparing, domaining, listing, plugin, reporting, training, using
from argus_core.errors import ArgusError
from argus_core.front_options import take_front_options
from argus_core.importing import debugging

app = typer.Typer(
    name="arena",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (listing, checking, caching, training, comparing, domaining, reporting, using, plugin):
    module.add_to(app)
take_front_options(app, "Train, score and compare heads on one frozen vision backbone.")


def main() -> None:
    """Run the command; faults the user can mend are one message and exit code 2, Ctrl-C is 130."""
    try:
        app()
    except ArgusError as error:
        if debugging():
            raise
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        if debugging():
            raise
        print(f"error: {error.filename}: {error.strerror}" if error.filename else f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
