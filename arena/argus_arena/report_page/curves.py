"""Loss and primary score over the epochs of each run of an entry, from the runs' logs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from argus_arena.leaderboard.rows import Row
from argus_arena.leaderboard.standings import Standing
from argus_arena.run.folder import RunFolder

MOST = 300
"""Points of a curve that are kept, evenly spaced, the last one among them."""

Curve = list[tuple[float, float]]


def curves(standing: Standing) -> list[dict[str, Any]]:
    """For each seed with a log its ``loss`` and ``score`` as (epoch, value); of a sweep those of the best rate."""
    found = []
    for row in standing.rows:
        lines = list(_lines(row))
        loss = [(line["epoch"], line["loss"]) for line in lines if "loss" in line]
        scores = [(line["epoch"], line["eval"].get(row["primary"])) for line in lines if "eval" in line]
        if lines:
            found.append({"seed": row.get("seed"), "loss": _thinned(loss), "score": _thinned(scores)})
    return found


def _lines(row: Row) -> Iterator[Mapping[str, Any]]:
    """What the log says of a row's head and of the weights that were chosen; nothing of one that was scored again."""
    path = Path(row.get("path", ""))
    log = RunFolder(path.parent.parent).log
    if path.name != "result.json" or not log.is_file():
        return
    variant = row["selected"]["variant"]
    for text in log.read_text(encoding="utf-8").splitlines():
        line = _parsed(text)
        chosen = line.get("trial", variant.removesuffix(" ema")) == variant.removesuffix(" ema")
        if line.get("head") == row["name"] and chosen and line.get("weights", variant) == variant:
            yield line


def _parsed(text: str) -> Mapping[str, Any]:
    try:
        line = json.loads(text)
    except ValueError:  # the line being written when a run was killed
        return {}
    return line if isinstance(line, dict) and "epoch" in line else {}


def _thinned(points: list[tuple[float, float | None]]) -> Curve:
    known = [(at, value) for at, value in points if value is not None]
    stride = max(1, -(-len(known) // MOST))
    return known[::-1][::stride][::-1]
