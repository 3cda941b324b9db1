"""Standings side by side; only those of one protocol on the same data share a ranking."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from argus_arena.leaderboard.rows import Row, read_rows
from argus_arena.leaderboard.standings import COSTS, Ring, Standing, rankings
from argus_core.errors import ArgusError, counted, unknown

COLUMNS = 6
"""Scores shown per entry, the first ones a metric gives; the others are in the exports."""
FORMATS = ("table", "json", "csv", "markdown")
UNITS = {
    "epochs": ("epochs", 1.0),
    "train_seconds": ("train s", 1.0),
    "macs": ("GMACs", 1e9),
    "milliseconds": ("ms", 1.0),
}
"""The costs shown beside the parameters: heading and divisor."""


def print_board(
    folders: Sequence[Path], format: str = "table", heads: Sequence[str] = (), task: str = "", sort: str | None = None
) -> None:
    """Print the standings of every result below the folders, of some heads or one task if asked."""
    if format not in FORMATS:
        raise unknown("format of the board", format, FORMATS)
    rows = [row for row in read_rows(folders) if _wanted(row, heads, task)]
    if not rows:
        raise ArgusError(f"no row below {', '.join(map(str, folders))} is of {' '.join([*heads, task]).strip()}")
    found = rankings(rows, sort)
    if format == "table":
        _print(found)
    elif format == "json":
        print(json.dumps(plain(found), indent=2))
    else:
        print(as_csv(found) if format == "csv" else as_markdown(found), end="")


def print_rows(rows: Sequence[Row]) -> None:
    """A table per protocol and data, best entry first, and what must be known of them."""
    _print(rankings(rows))


def as_csv(found: Mapping[Ring, Sequence[Standing]]) -> str:
    """Every entry with all its scores (mean and deviation over seeds) and costs; the rank counts within a ring."""
    entries = [(rank, one) for held in found.values() for rank, one in enumerate(held, 1)]
    scores = list(dict.fromkeys(key for _, one in entries for key in one.rows[0]["metrics"]))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    ring = ["protocol", "data", "data_sha256", "images", "trained_on"]
    writer.writerow(
        ["rank", "name", "head", "seeds", *ring, *COSTS, *(f"{k}{e}" for k in scores for e in ("", " std"))]
    )
    for rank, one in entries:
        first, where = one.rows[0], Ring.of(one.rows[0])
        about = [where.protocol, first["data"]["spec"], where.sha256, where.images, one.hardware]
        values = [number for key in scores for number in (one.mean(key), one.deviation(key))]
        writer.writerow([rank, one.name, first["head"], len(one.rows), *about, *map(one.mean, COSTS), *values])
    return out.getvalue()


def as_markdown(found: Mapping[Ring, Sequence[Standing]]) -> str:
    """A table per ring, as it is printed."""
    parts = []
    for held in found.values():
        columns, cells = _cells(held)
        rule = ["---" if n == 0 else "---:" for n in range(len(columns))]
        lines = ["| " + " | ".join(line) + " |" for line in (columns, rule, *cells)]
        parts.append("\n".join([f"**{_title(held)}**", "", *lines, ""]))
    return "\n".join(parts)


def _wanted(row: Row, heads: Sequence[str], task: str) -> bool:
    names = {row["name"], row["head"], row["head"].partition(".")[2]}
    return (not heads or bool(names & set(heads))) and task in ("", row["task"])


def _print(found: Mapping[Ring, Sequence[Standing]]) -> None:
    console = Console()
    room = console.width if console.is_terminal else None
    console.width = max(console.width, 200)  # a cut number is worse than a wrapped line
    for held in found.values():
        columns, cells = _cells(held)
        kept = _fitting(columns, cells, room)
        left_out, columns, cells = columns[kept:], columns[:kept], [line[:kept] for line in cells]
        table = Table(title=_title(held), title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for n, column in enumerate(columns):
            table.add_column(column, justify="right" if n else "left", no_wrap=True)
        for line in cells:
            table.add_row(*line)
        console.print(table)
        if left_out:
            print(f"no room for {', '.join(left_out)}: `arena board FOLDER --format csv` has all")
        for one in held:
            for note in one.to_dict()["notes"]:
                print(f"{one.name}: {note}")
            if one.mean(one.primary) is None:
                print(f"{one.name}: {one.primary} is not defined: no evaluation gave a number")


def _fitting(columns: Sequence[str], cells: Sequence[Sequence[str]], room: int | None) -> int:
    """How many of the columns, from the left, fit into ``room`` characters: all if that is None."""
    widths = [2 + max(len(line[n]) for line in (columns, *cells)) for n in range(len(columns))]
    return sum(room is None or sum(widths[: n + 1]) + 1 <= room for n in range(len(widths)))


def _title(held: Sequence[Standing]) -> str:
    ring = Ring.of(held[0].rows[0])
    return f"{ring.protocol}, {held[0].rows[0]['data']['spec']} ({ring.sha256[:8]}), {counted(ring.images, 'image')}"


def _cells(held: Sequence[Standing]) -> tuple[list[str], list[list[str]]]:
    """Headings and cells: names, seeds where there are several, the first scores, and costs that are known."""
    scores = [key for key in held[0].rows[0]["metrics"] if "/" not in key]
    shown = sorted(scores, key=lambda key: key != held[0].primary)[:COLUMNS]
    costs = [key for key in UNITS if any(one.mean(key) is not None for one in held)]
    seeds = any(len(one.rows) > 1 for one in held)
    machines = ["trained on"] if any(one.hardware for one in held) else []
    numbers = [*shown, *(UNITS[key][0] for key in costs), *machines, "parameters"]
    columns = ["head", *(["seeds"] if seeds else []), *numbers]
    return columns, [
        [
            one.name,
            *([str(len(one.rows))] if seeds else []),
            *(_score(one, key) for key in shown),
            *(_cost(one.mean(key), UNITS[key][1]) for key in costs),
            *([one.hardware or "-"] if machines else []),
            f"{one.rows[0]['parameters']:,}",
        ]
        for one in held
    ]


def _cost(value: float | None, unit: float) -> str:
    return "-" if value is None else f"{value / unit:.3g}" if value / unit < 100 else f"{value / unit:.0f}"


def _score(one: Standing, key: str) -> str:
    mean, deviation = one.mean(key), one.deviation(key)
    spread = f" ±{deviation:.3f}" if deviation is not None else ""
    return "-" if mean is None else f"{mean:.3f}{spread}"


def plain(found: Mapping[Ring, Sequence[Standing]]) -> list[dict[str, Any]]:
    """Every entry with its rank, for files."""
    return [{"rank": rank, **one.to_dict()} for held in found.values() for rank, one in enumerate(held, 1)]
