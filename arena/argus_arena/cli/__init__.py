"""The ``arena`` command. Nothing here imports torch until a command needs it."""

from __future__ import annotations

import typer

from argus_arena.cli import cache, check, compare, domains, plugins, predict, train
from argus_core.cli.app import run_command, take_front_options

app = typer.Typer(
    name="arena",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (plugins, check, cache, train, compare, domains, predict):
    module.add_to(app)
take_front_options(app, "Train, score and compare heads on one frozen vision backbone.")


def main() -> None:
    """Run the command."""
    run_command(app)
