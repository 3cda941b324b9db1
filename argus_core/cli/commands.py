"""The commands of ``argus``, gathered into one application."""

from __future__ import annotations

import typer

from argus_core.cli import ask, models, serve
from argus_core.cli.app import take_front_options
from argus_core.registry.places import DEFAULT_MODEL

app = typer.Typer(
    name="argus",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (ask, models, serve):
    module.add_to(app)
HELP = f"""What photographs show, from one frozen vision backbone: classes, masks, depth, objects, correspondences.

`argus perceive PHOTO` asks the built-in model `{DEFAULT_MODEL}`; --model names another. Answers go to `argus-out`.
"""
take_front_options(app, HELP)
