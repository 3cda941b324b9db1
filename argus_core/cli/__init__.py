"""The ``argus`` command: what images show. Nothing here imports torch until a command needs it."""

from __future__ import annotations


def main() -> None:
    """Run the command."""
    # Imported here because ``arena`` takes modules of this package too, and should not build this command for them.
    from argus_core.cli.app import run_command
    from argus_core.cli.commands import app

    run_command(app)
