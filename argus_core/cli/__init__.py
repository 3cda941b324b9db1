"""The ``argus`` command: what images show. Nothing here imports torch until a command needs it."""

from __future__ import annotations

import sys

import typer

from argus_core.cli import asking, models
from argus_core.errors import ArgusError
from argus_core.front_options import take_front_options
from argus_core.importing import debugging
from argus_core.places import DEFAULT_MODEL

app = typer.Typer(
    name="argus",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (asking, models):
    module.add_to(app)
HELP = f"""What photographs show, from one frozen vision backbone: classes, masks, depth, objects, correspondences.

`argus perceive PHOTO` asks the built-in model `{DEFAULT_MODEL}`; --model names another. Answers go to `argus-out`.
"""
take_front_options(app, HELP)


def main() -> None:
    """Run the command; faults the user can mend are one message and exit code 2, Ctrl-C is 130."""
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
