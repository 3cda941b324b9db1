"""Standings side by side; only those of one protocol on the same data share a ranking."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from argus_arena.leaderboard.choice import choice_notes
from argus_arena.leaderboard.standings import COSTS, RankingKey, Rankings, Row, Standing, rankings, read_rows
from argus_arena.leaderboard.verdict import Placed, Verdict, judge
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
"""Heading and divisor of the costs that are shown, besides the parameters."""


def print_board(
    folders: Sequence[Path], format: str = "table", heads: Sequence[str] = (), task: str = "", sort: str | None = None
) -> None:
    """Print the standings of every result below the folders, or of some heads or one task."""
    if format not in FORMATS:
        raise unknown("format of the board", format, FORMATS)
    rows = [row for row in read_rows(folders) if _wanted(row, heads, task)]
    if not rows:
        raise ArgusError(f"no row below {', '.join(map(str, folders))} is of {' '.join([*heads, task]).strip()}")
    ranked = rankings(rows, sort)
    if format == "table":
        _print(ranked, sort)
    elif format == "json":
        print(json.dumps(plain(ranked, sort), indent=2))
    else:
        print(as_csv(ranked, sort) if format == "csv" else as_markdown(ranked, sort), end="")


def print_rows(rows: Sequence[Row]) -> None:
    """Print a table per protocol and data, best entry first, with notes."""
    _print(rankings(rows))


def as_csv(ranked: Rankings, sort: str | None = None) -> str:
    """Every entry with all its scores (mean and deviation over seeds) and costs, in the order of each ranking.

    ``low``, ``high``, ``rank``, ``last rank`` and ``smallest difference`` are of the score in ``interval of``.
    """
    entries = [entry for held in ranked.values() for entry in held]
    scores = list(dict.fromkeys(key for entry in entries for key in entry.rows[0]["metrics"]))
    key_columns = ["protocol", "data", "data_sha256", "images", "chosen_on", "trained_on", "tokens"]
    score_columns = [f"{key}{suffix}" for key in scores for suffix in ("", " std")]
    shown = ["low", "high", "last rank", "smallest difference", "interval of"]
    lines: list[Sequence[Any]] = [["rank", "name", "head", "seeds", *key_columns, *COSTS, *score_columns, *shown]]
    for held in ranked.values():
        verdict = judge(held, sort)
        for place, entry in enumerate(held):
            first, key = entry.rows[0], RankingKey.of(entry.rows[0])
            about = [key.protocol, first["data"]["spec"], key.sha256, key.images]
            about += [entry.chosen_on, entry.hardware, entry.dtype]
            values = [number for score in scores for number in (entry.mean(score), entry.deviation(score))]
            start = [verdict.rank(place), entry.name, first["head"], len(entry.rows)]
            lines.append([*start, *about, *map(entry.mean, COSTS), *values, *_placed_cells(verdict, place)])
    return csv_text(lines)


def _placed_cells(verdict: Verdict, place: int) -> list[Any]:
    placed = verdict.placed[place]
    return [placed.low, placed.high, placed.last, placed.smallest, verdict.score] if placed else [None] * 5


def csv_text(lines: Iterable[Sequence[Any]]) -> str:
    """Lines of values as CSV."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(lines)
    return out.getvalue()


def as_markdown(ranked: Rankings, sort: str | None = None) -> str:
    """A table per ranking, as it is printed, and what it shows."""
    parts = []
    for entries in ranked.values():
        verdict = judge(entries, sort)
        columns, cells = _cells(entries, verdict, sort)
        rule = ["---" if n == 0 else "---:" for n in range(len(columns))]
        lines = ["| " + " | ".join(line) + " |" for line in (columns, rule, *cells)]
        notes = [f"* {note}" for note in (*(verdict.notes if verdict.known else ()), *notes_of(entries))]
        parts.append("\n".join([f"**{_title(entries)}**", "", *lines, "", *notes, *([""] if notes else [])]))
    return "\n".join(parts)


def print_table(console: Console, columns: Sequence[str], cells: Iterable[Sequence[str]], title: str = "") -> None:
    """Print a table whose first column is text and whose others are numbers."""
    table = Table(title=title or None, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for n, column in enumerate(columns):
        table.add_column(column, justify="right" if n else "left", no_wrap=True)
    for line in cells:
        table.add_row(*line)
    console.print(table)


def wide_console() -> Console:
    """Standard output, at least 200 characters wide: a number that is cut is worse than a line that is wrapped."""
    console = Console()
    console.width = max(console.width, 200)
    return console


def _wanted(row: Row, heads: Sequence[str], task: str) -> bool:
    names = {row["name"], row["head"], row["head"].partition(".")[2]}
    return (not heads or bool(names & set(heads))) and task in ("", row["task"])


def _print(ranked: Rankings, sort: str | None = None) -> None:
    console = Console()
    width = console.width if console.is_terminal else None
    for entries in ranked.values():
        verdict = judge(entries, sort)
        columns, cells = _cells(entries, verdict, sort)
        count = _fitting(columns, cells, width)
        print_table(wide_console(), columns[:count], [line[:count] for line in cells], _title(entries))
        if columns[count:]:
            print(f"no room for {', '.join(columns[count:])}: `arena board FOLDER --format csv` has all")
        for note in (*verdict.notes, *notes_of(entries)):
            print(note)
        for entry in entries:
            for note in entry.to_dict()["notes"]:
                print(f"{entry.name}: {note}")
            if entry.mean(entry.primary) is None:
                print(f"{entry.name}: {entry.primary} is not defined: no evaluation gave a number")


def notes_of(entries: Sequence[Standing]) -> list[str]:
    """On what the weights of a ranking were chosen, where that makes its scores too good."""
    return choice_notes((entry.name, entry.rows[0]) for entry in entries)


def _fitting(columns: Sequence[str], cells: Sequence[Sequence[str]], room: int | None) -> int:
    """How many of the columns, from the left, fit into ``room`` characters: all if that is None."""
    widths = [2 + max(len(line[n]) for line in (columns, *cells)) for n in range(len(columns))]
    return sum(room is None or sum(widths[: n + 1]) + 1 <= room for n in range(len(widths)))


def _title(entries: Sequence[Standing]) -> str:
    first = entries[0].rows[0]
    key = RankingKey.of(first)
    return f"{key.protocol}, {first['data']['spec']} ({key.sha256[:8]}), {counted(key.images, 'image')}"


def _cells(entries: Sequence[Standing], verdict: Verdict, sort: str | None) -> tuple[list[str], list[list[str]]]:
    """Headings and cells: names, ranks and seeds where there are any, the first scores, ``sort``, and known costs."""
    placed = dict(zip(map(id, entries), verdict.placed, strict=True))
    columns: dict[str, Callable[[Standing], str]] = {"head": lambda entry: entry.name}
    if verdict.known and len(entries) > 1:
        columns["rank"] = lambda entry: str(found.rank) if (found := placed[id(entry)]) else "-"
    if any(len(entry.rows) > 1 for entry in entries):
        columns["seeds"] = lambda entry: str(len(entry.rows))
    for key in _shown(entries[0], sort):
        columns[key] = partial(_cost, key=key, unit=1.0) if key in COSTS else partial(_score, key=key)
        if key == verdict.score and verdict.known:
            columns["[low, high]"] = lambda entry: _interval(placed[id(entry)])
    for key, (heading, unit) in UNITS.items():
        if any(entry.mean(key) is not None for entry in entries):
            columns[heading] = partial(_cost, key=key, unit=unit)
    columns |= _conditions(entries)
    return list(columns), [[cell(entry) for cell in columns.values()] for entry in entries]


def _shown(entry: Standing, sort: str | None) -> list[str]:
    """The first scores, the primary one before the others, and what is sorted by if it has no column yet."""
    scores = [key for key in entry.rows[0]["metrics"] if "/" not in key]
    first = sorted(scores, key=lambda key: key != entry.primary)[:COLUMNS]
    return first if sort in (None, "name", "parameters", *UNITS, *first) else [*first, str(sort)]


def _conditions(entries: Sequence[Standing]) -> dict[str, Callable[[Standing], str]]:
    """Columns of what entries were trained on where it differs or is known, and of their size."""
    columns: dict[str, Callable[[Standing], str]] = {}
    if any(entry.hardware for entry in entries):
        columns["trained on"] = lambda entry: entry.hardware or "-"
    if len({entry.chosen_on for entry in entries}) > 1:
        columns["chosen on"] = lambda entry: entry.chosen_on or "-"
    if len({entry.dtype for entry in entries}) > 1:
        columns["tokens"] = lambda entry: entry.dtype
    columns["parameters"] = lambda entry: f"{entry.rows[0]['parameters']:,}"
    return columns


def _interval(placed: Placed | None) -> str:
    return f"[{placed.low:.3f}, {placed.high:.3f}]" if placed else "-"


def _score(entry: Standing, key: str) -> str:
    mean, deviation = entry.mean(key), entry.deviation(key)
    spread = f" ±{deviation:.3f}" if deviation is not None else ""
    return "-" if mean is None else f"{mean:.3f}{spread}"


def _cost(entry: Standing, key: str, unit: float) -> str:
    value = entry.mean(key)
    if value is None:
        return "-"
    return f"{value / unit:.3g}" if value / unit < 100 else f"{value / unit:.0f}"


def plain(ranked: Rankings, sort: str | None = None) -> list[dict[str, Any]]:
    """Every entry with its rank and what it is worth, for files.

    ``rank`` is shared by entries that cannot be told apart, and None for one that cannot be compared; ``place`` is that
    in the order of its ranking. ``interval`` is None without contributions.
    """
    values = []
    for entries in ranked.values():
        verdict = judge(entries, sort)
        for place, entry in enumerate(entries):
            placed = verdict.placed[place]
            shown = {"of": verdict.score, **vars(placed)} if placed else None
            values.append({"rank": verdict.rank(place), "place": place + 1, **entry.to_dict(), "interval": shown})
    return values
