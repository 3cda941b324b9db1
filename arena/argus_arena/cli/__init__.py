"""The ``arena`` command. Nothing here imports torch until a command needs it."""

from __future__ import annotations

import typer

from argus_arena.cli import caching, checking, comparing, domaining, listing, plugin, reporting, training, using
from argus_core.command import run_command
from argus_core.front_options import take_front_options

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
    """Run the command."""
    run_command(app)
