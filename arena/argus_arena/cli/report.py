"""The command that writes results as a page: report."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from argus_arena.leaderboard.rows import find_rows
from argus_core.cli.app import Device
from argus_core.cli.early import check_out, checked


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(report)


def report(
    runs: Annotated[list[Path], typer.Argument(help="run folders, or folders of runs")],
    out: Annotated[Path, typer.Option("--out", callback=checked(check_out), help="HTML file to write")] = Path(
        "report.html"
    ),
    images: Annotated[int, typer.Option("--images", min=0, help="images shown per ranking; 0 runs no head")] = 8,
    task: Annotated[str, typer.Option("--task", help="only this task")] = "",
    threshold: Annotated[float, typer.Option("--threshold", min=0, max=1, help="lowest score of shown boxes")] = 0.3,
    device: Device = None,
) -> None:
    """Write one HTML page that opens offline: rankings, cost against score, curves, predictions, disagreements."""
    find_rows(runs)  # before torch is imported
    from argus_arena.report_page.page import write_report
    from argus_core.common.progress import finished

    began = time.perf_counter()
    for ring in write_report(runs, out, images, task, threshold, device)["rings"]:
        if ring["pictures"]["note"]:
            print(f"{ring['protocol']}, {ring['data']}: {ring['pictures']['note']}")
    finished("report", out, time.perf_counter() - began)
