"""The ``arena`` command. Nothing here imports torch until a command needs it."""

from __future__ import annotations

from collections.abc import Callable

import typer

from argus_arena.cli.cache import cache, data
from argus_arena.cli.check import check
from argus_arena.cli.compare import board, compare, report, reproduce
from argus_arena.cli.domains import domains
from argus_arena.cli.plugins import backbones, heads, plugin, plugins, protocols
from argus_arena.cli.predict import predict, text
from argus_arena.cli.train import evaluate, train
from argus_core.cli.app import run_command, take_front_options

app = typer.Typer(
    name="arena",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
command: Callable[..., None]
for command in (heads, backbones, protocols, plugins, check, train):
    app.command()(command)
app.command(name="eval")(evaluate)
for command in (compare, board, reproduce, domains, report, predict, text):
    app.command()(command)
for name, group in {"cache": cache, "data": data, "plugin": plugin}.items():
    app.add_typer(group, name=name)
take_front_options(app, "Train, score and compare heads on one frozen vision backbone.")


def main() -> None:
    """Run the command."""
    run_command(app)
