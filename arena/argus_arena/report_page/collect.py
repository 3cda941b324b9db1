"""Rankings as the plain values that the page draws: entries, scores, and curves from the logs of runs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from argus_arena.leaderboard.board import COLUMNS, notes_of
from argus_arena.leaderboard.standings import COSTS, RankingKey, Row, Standing
from argus_arena.leaderboard.verdict import Verdict, judge
from argus_arena.run.folder import RunFolder
from argus_core.common.places import place

SIZES = ("small", "medium", "large")
OTHER = "Other scores"
MOST = 300
"""Points of a curve that are kept, evenly spaced, the last one among them."""

Curve = list[tuple[float, float]]


def ring_values(standings: Sequence[Standing]) -> dict[str, Any]:
    """The values of a ranking: protocol and data, entries from the best, groups of scores, and curves."""
    first = standings[0].rows[0]
    key = RankingKey.of(first)
    scores = list(dict.fromkeys(key for entry in standings for key in entry.rows[0]["metrics"]))
    shown = [key for key in scores if "/" not in key][:COLUMNS]
    verdict = judge(standings)
    return {
        "protocol": key.protocol,
        "data": first["data"]["spec"],
        "sha256": key.sha256[:8],
        "images": key.images,
        "task": first["task"],
        "primary": standings[0].primary,
        "higher": first["higher_is_better"],
        "shown": shown,
        "groups": score_groups(scores, shown),
        "entries": [
            {**_entry(entry, label), **_shown_by(verdict, place)}
            for place, (entry, label) in enumerate(zip(standings, labels(standings), strict=True))
        ],
        "verdict": {"known": verdict.known, "better": verdict.better, "notes": [*verdict.notes, *notes_of(standings)]},
        "curves": [{"entry": place, **curve} for place, standing in enumerate(standings) for curve in curves(standing)],
    }


def labels(standings: Sequence[Standing]) -> list[str]:
    """A name for each entry of a ranking that no other has: of entries with one name the later are numbered."""
    counts: Counter[str] = Counter()
    names = []
    for standing in standings:
        counts[standing.name] += 1
        names.append(standing.name if counts[standing.name] == 1 else f"{standing.name} ({counts[standing.name]})")
    return names


def score_groups(scores: Sequence[str], shown: Sequence[str]) -> list[dict[str, Any]]:
    """Scores that belong together: by object size, by class (``AP/RBC``), and the others that are not ``shown``."""
    groups: dict[str, list[str]] = {}
    for key in scores:
        start, slash, _ = key.partition("/")
        stem, _, size = key.rpartition("_")
        by_class = "Scores by class" if start == "class" else f"{start} by class"
        title = by_class if slash else f"{stem} by size" if size in SIZES else OTHER
        if title != OTHER or key not in shown:
            groups.setdefault(title, []).append(key)
    order = sorted(groups, key=lambda title: (title == OTHER, " by class" in title))
    return [{"title": title, "keys": groups[title], "shaded": title != OTHER} for title in order]


def _entry(standing: Standing, label: str) -> dict[str, Any]:
    values = standing.to_dict()
    return {
        "label": label,
        "head": values["head"],
        "seeds": values["seeds"],
        "costs": {key: values["costs"][key] for key in COSTS},
        "scores": {key: [value["mean"], value["std"]] for key, value in values["scores"].items()},
        "options": _shown(values["options"] or {}),
        "notes": values["notes"],
    }


def _shown_by(verdict: Verdict, place: int) -> dict[str, Any]:
    """The rank of an entry, and its interval where it has one."""
    placed = verdict.placed[place]
    return {"rank": verdict.rank(place), "interval": [placed.low, placed.high] if placed else None}


def _shown(options: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in options.items())


def curves(standing: Standing) -> list[dict[str, Any]]:
    """For each seed with a log its ``loss`` and ``score`` as (epoch, value); of a sweep those of the best rate.

    ``split`` is where the scores during training are of, which the row's own is not among; empty without any.
    """
    by_seed = []
    for row in standing.rows:
        lines = list(_lines(row))
        loss = [(line["epoch"], line["loss"]) for line in lines if "loss" in line]
        evals = [line for line in lines if "eval" in line and not line.get("reported")]
        scores = [(line["epoch"], line["eval"].get(row["primary"])) for line in evals]
        split = evals[-1].get("split", "val") if evals else ""  # lines of earlier versions do not say
        if lines:
            curve = {"loss": thinned(loss), "score": thinned(scores), "split": split}
            by_seed.append({"seed": row.get("seed"), **curve})
    return by_seed


def _lines(row: Row) -> Iterator[Mapping[str, Any]]:
    """What the log says of a row's head and of the weights that were chosen; nothing of one that was scored again."""
    path = place(row.get("path", ""))
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


def thinned(points: list[tuple[float, float | None]]) -> Curve:
    """At most ``MOST`` of the points that have a value."""
    known = [(at, value) for at, value in points if value is not None]
    stride = max(1, -(-len(known) // MOST))
    return known[::-1][::stride][::-1]
