"""The command that holds a head, task, backbone or data set to the conformance kit."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from argus_arena.tools.check_subject import find_target
from argus_core.common.options import parse_pairs
from argus_core.errors import ArgusError
from argus_core.plugins.files import is_file_spec


def check(
    name: Annotated[str, typer.Argument(help="head, task or backbone; a data spec; or FILE.py:OBJECT")],
    kind: Annotated[
        str | None, typer.Option("--kind", help="head, task, backbone or data, where NAME is several")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="option of what is checked")
    ] = None,
    expect: Annotated[
        list[str] | None,
        typer.Option(
            "--expect", metavar="CHECK=REASON", help="a check that must fail, and why; if it holds, that fails"
        ),
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="CHECK", help="run this check; repeatable")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print the report as JSON")] = False,
) -> None:
    """Run the conformance kit: every promise of a head, task, backbone or data set; exit code 1 if one is broken."""
    if not is_file_spec(name):
        find_target(name, kind)  # before torch is imported
    from rich.console import Console

    from argus_arena.tools.check import make_report, show

    with contextlib.redirect_stdout(sys.stderr):  # what a stranger's code prints is no part of the report
        report = make_report(name, kind, parse_pairs(settings), _reasons(expect), only or ())
    if as_json:
        print(json.dumps(report.to_dict(), indent=2))
    else:
        show(report, Console())
    if not report.passed:
        raise typer.Exit(1)


def _reasons(texts: Sequence[str] | None) -> dict[str, str]:
    reasons = {}
    for text in texts or ():
        check, equals, reason = text.partition("=")
        if not equals:
            raise ArgusError(f"{text!r} is not CHECK=REASON; say why the check must fail")
        reasons[check.strip()] = reason.strip()
    return reasons
