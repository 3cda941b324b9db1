"""Commands about several results: compare, board, reproduce, report."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from argus_arena.cli.options import Config, request_options, with_options
from argus_arena.requests import Comparison, RunRequest, check_names, given_options, make, make_request
from argus_core.cli.early import check_heads, check_out, check_path, checked, checked_data, placed
from argus_core.cli.options import Device
from argus_core.common.folders import check_local

Runs = Annotated[list[Path], typer.Argument(callback=placed(check_local), help="run folders, or folders of runs")]
SETTLED = ("train_split", "val_split", "seed", "eval_batch", "save_every")
"""Fields of a run that are no options of a comparison."""


@with_options(
    request_options(Comparison), request_options(RunRequest, without=SETTLED, optional=RunRequest.model_fields)
)
def compare(
    heads: Annotated[
        list[str] | None,
        typer.Option(
            "--heads",
            "--head",
            callback=checked(check_heads),
            help="all, or registered heads, or NAME=HEAD; repeatable",
        ),
    ] = None,
    *,
    config: Config = None,
    **values: Any,
) -> None:
    """Train many heads on the same tokens, many per read, over several seeds, and rank them together with the floor.

    Exit code 1 if a head failed or was left out; the others are ranked all the same.
    """
    comparison = make(Comparison, values, "the comparison")
    request = make_request(given_options(RunRequest, {**values, "heads": heads}), config)
    check_names(request)  # before torch is imported
    from argus_arena.comparison.compare import compare_heads

    _, failures = compare_heads(request, comparison)
    if failures:
        raise typer.Exit(1)


def board(
    runs: Runs,
    format: Annotated[str, typer.Option("--format", help="table, json, csv or markdown")] = "table",
    head: Annotated[list[str] | None, typer.Option("--head", help="only these heads; repeatable")] = None,
    task: Annotated[str, typer.Option("--task", help="only this task")] = "",
    sort: Annotated[
        str | None, typer.Option("--sort", help="score or cost to rank by, such as AP50, parameters or macs")
    ] = None,
) -> None:
    """Rank results, seeds of one head together; rows of different protocols or data are never ranked together."""
    from argus_arena.leaderboard.board import print_board

    print_board(runs, format, head or (), task, sort)


def reproduce(
    row: Annotated[Path, typer.Argument(callback=placed(check_path), help="RUN/HEAD, or its result.json")],
    out: Annotated[
        Path | None, typer.Option("--out", callback=placed(check_out), help="run folder; default: reproduced/HEAD-...")
    ] = None,
    data: Annotated[
        str | None, typer.Option("--data", callback=checked_data, help="data spec, where the data have moved")
    ] = None,
    cache: Annotated[
        Path | None, typer.Option("--cache", callback=placed(check_path), help="cache folder, where it has moved")
    ] = None,
    device: Device = None,
) -> None:
    """Train a result again from its record, and report every difference; exit code 1 if there is one."""
    from argus_arena.comparison.reproduce import reproduce as again

    if not again(row, out, device, data, cache):
        raise typer.Exit(1)


def report(
    runs: Runs,
    out: Annotated[Path, typer.Option("--out", callback=placed(check_out), help="HTML file to write")] = Path(
        "report.html"
    ),
    images: Annotated[int, typer.Option("--images", min=0, help="images shown per ranking; 0 runs no head")] = 8,
    task: Annotated[str, typer.Option("--task", help="only this task")] = "",
    threshold: Annotated[float, typer.Option("--threshold", min=0, max=1, help="lowest score of shown boxes")] = 0.3,
    device: Device = None,
) -> None:
    """Write one HTML page that opens offline: rankings, cost against score, curves, predictions, disagreements.

    Of a distillation: losses, scores, error against resolution, and principal components beside those of the teachers.
    """
    from argus_arena.leaderboard.standings import find_rows
    from argus_arena.report_page.folders import find_stages

    stages = find_stages(runs)
    if not stages:
        find_rows(runs)  # before torch is imported
    from argus_arena.report_page.page import write_report, write_stages
    from argus_core.common.progress import finished

    began = time.perf_counter()
    if stages:
        for stage in write_stages(stages, out, images, device)["stages"]:
            if stage["note"]:
                print(f"{stage['name']}: {stage['note']}")
        return finished("report", out, time.perf_counter() - began)
    for ring in write_report(runs, out, images, task, threshold, device)["rings"]:
        if ring["pictures"]["note"]:
            print(f"{ring['protocol']}, {ring['data']}: {ring['pictures']['note']}")
    finished("report", out, time.perf_counter() - began)
