"""The command that writes a plugin: plugin new."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from argus_core.cli.early import check_out, checked

plugin = typer.Typer(help="Write your own plugins.", no_args_is_help=True)


@plugin.callback()
def group() -> None:
    """Write your own plugins."""


@plugin.command()
def new(
    name: Annotated[str, typer.Argument(help="name of the package, as on PyPI, such as my-head")],
    kind: Annotated[str, typer.Option("--kind", help="head, task, backbone, data or listener")] = "head",
    task: Annotated[
        str | None, typer.Option("--task", help="of a head: classify, segment, depth, detect or correspond")
    ] = None,
    closed_form: Annotated[
        bool, typer.Option("--closed-form", help="a head that is solved from sums over the data, without gradients")
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", callback=checked(check_out), help="folder to write; default: NAME")
    ] = None,
    author: Annotated[str | None, typer.Option("--author", help="default: the name in git's configuration")] = None,
) -> None:
    """Write a complete package that works: code, tests, README, licence and workflow, to be changed from there."""
    from argus_arena.template.kinds import choose
    from argus_arena.template.names import Names, check_free
    from argus_arena.template.render import commands, git_author, render, write_project

    chosen, names = choose(kind, task, closed_form), Names.of(name)
    check_free(chosen, names)
    folder = out or Path(name)
    write_project(folder, render(chosen, names, author or git_author() or f"The {name} authors"))
    print(f"{folder} is written: a {kind} that works. Next:\n")
    for line in (f"cd {folder}", "pip install -e '.[dev]'", "pytest", *commands(chosen, names)):
        print(f"    {line}")
