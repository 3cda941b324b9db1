"""Result rows side by side; only rows of one protocol on the same data share a ranking."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from argus_core.errors import ArgusError
from argus_core.files import read_json

Row = Mapping[str, Any]
COLUMNS = 6
"""Scores shown per row, the first ones a metric gives; the others are in the JSON."""


def print_board(folders: Sequence[Path], as_json: bool) -> None:
    """Print every result below the folders, ranked."""
    patterns = ("result.json", "scores/*.json")
    paths = sorted({path for folder in folders for pattern in patterns for path in folder.rglob(pattern)})
    if not paths:
        raise ArgusError(f"no result.json below {', '.join(map(str, folders))}; finish a run first")
    rows = [row for path in paths if (row := _read(path)) is not None]
    if as_json:
        print(json.dumps(rows, indent=2))
    else:
        print_rows(rows)


def _read(path: Path) -> Row | None:
    """A result row; one that cannot be used is reported and leaves the others alone."""
    try:
        row = read_json(path, "it is left out")
    except ArgusError as error:
        print(f"warning: {error}", file=sys.stderr)
        return None
    if isinstance(row, dict) and {"protocol", "data", "metrics", "primary"} <= set(row):
        return row
    print(f"warning: {path} is no result row; it is left out", file=sys.stderr)
    return None


def print_rows(rows: Sequence[Row]) -> None:
    """A table per protocol and data, best row first."""
    groups: dict[tuple[str, str, int], list[Row]] = {}
    for row in rows:
        scored = row["data"]["val"]
        groups.setdefault((row["protocol"], scored["sha256"], scored["images"]), []).append(row)
    console = Console()
    console.width = max(console.width, 100)  # a cut number is worse than a wrapped line
    for (protocol, digest, images), group in groups.items():
        console.print(_table(group, f"{protocol}, {group[0]['data']['spec']} ({digest[:8]}), {images} images"))
        for row in group:
            for note in row["notes"]:
                console.print(f"{row['name']}: {note}")


def _table(rows: Sequence[Row], title: str) -> Table:
    primary = rows[0]["primary"]
    shown = [key for key in rows[0]["metrics"] if "/" not in key][:COLUMNS]
    ordered = sorted(rows, key=lambda row: _rank(row, primary))
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in ("head", "parameters", *shown, "train s"):
        table.add_column(column, justify="left" if column == "head" else "right", no_wrap=True)
    for row in ordered:
        scores = [_score(row["metrics"].get(key)) for key in shown]
        seconds = row.get("train_seconds")
        table.add_row(row["name"], f"{row['parameters']:,}", *scores, "-" if seconds is None else f"{seconds:.0f}")
    return table


def _rank(row: Row, primary: str) -> float:
    value: float | None = row["metrics"].get(primary)
    if value is None:
        return float("inf")
    return -value if row["higher_is_better"] else value


def _score(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
