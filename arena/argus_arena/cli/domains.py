"""The command about many data sets: domains."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from argus_arena.cli.options import request_options, with_options
from argus_arena.requests import CacheRequest, Comparison, RunRequest, make
from argus_core.cli.early import check_heads, checked

CACHES = ("backbone", "weights", "backbone_options", "canvas", "fit", "tiles", "overlap", "layers", "views", "parts")
BOTH = ("device", "accept_faults", "require_license")
RUNS = ("recipe", "settings", "new_device")
"""Fields of the requests for the caches, for the runs, and for both, that are options here."""


@with_options(
    request_options(Comparison, without=["task"]),
    request_options(CacheRequest, only=[*CACHES, *BOTH]),
    request_options(RunRequest, only=RUNS),
)
def domains(
    data: Annotated[
        list[str], typer.Option("--data", help="folder of data sets (such as RF100-VL), or NAME=SPEC; repeatable")
    ],
    heads: Annotated[
        list[str],
        typer.Option("--heads", "--head", callback=checked(check_heads), help="all, or registered heads; repeatable"),
    ],
    expect: Annotated[
        list[str] | None,
        typer.Option(
            "--expect", help="rf20-vl, or names: these domains and no others, all needed for a mean; repeatable"
        ),
    ] = None,
    val_split: Annotated[str, typer.Option("--val-split", help="split that is scored: val or test")] = "val",
    **values: Any,
) -> None:
    """Compare heads on many data sets: every domain's score, and their mean; exit code 1 if one is missing."""
    comparison = make(Comparison, {**values, "task": "detect"}, "the comparison")
    # The data and the cache of each domain are put in later.
    tokens = make(CacheRequest, {**values, "data": "", "splits": ("train", val_split)}, "the caches")
    own = {key: values[key] for key in (*RUNS, "device", "accept_faults")}
    run = make(RunRequest, {**own, "data": "", "heads": heads, "val_split": val_split}, "the runs")
    from argus_arena.comparison.domains import Domains, compare_domains

    summary = compare_domains(Domains.find(data, expect or ()), run, tokens, comparison)
    if summary["missing"]:
        raise typer.Exit(1)
