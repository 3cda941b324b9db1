"""How a command runs: one message for faults the user can mend, and names in letters that the terminal lacks."""

from __future__ import annotations

import io
import sys

import typer

from argus_core.errors import ArgusError
from argus_core.importing import debugging


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
