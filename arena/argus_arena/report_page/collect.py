"""Rankings as the plain values that the page draws."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from argus_arena.leaderboard.board import COLUMNS
from argus_arena.leaderboard.standings import COSTS, Ring, Standing
from argus_arena.report_page.curves import curves

SIZES = ("small", "medium", "large")
OTHER = "Other scores"


def ring_values(held: Sequence[Standing]) -> dict[str, Any]:
    """A ranking: what was scored, its entries best first, which scores are shown where, and curves of every entry."""
    first = held[0].rows[0]
    ring = Ring.of(first)
    scores = list(dict.fromkeys(key for one in held for key in one.rows[0]["metrics"]))
    shown = [key for key in scores if "/" not in key][:COLUMNS]
    return {
        "protocol": ring.protocol,
        "data": first["data"]["spec"],
        "sha256": ring.sha256[:8],
        "images": ring.images,
        "task": first["task"],
        "primary": held[0].primary,
        "higher": first["higher_is_better"],
        "shown": shown,
        "groups": score_groups(scores, shown),
        "entries": [_entry(one, label) for one, label in zip(held, labels(held), strict=True)],
        "curves": [{"entry": place, **one} for place, standing in enumerate(held) for one in curves(standing)],
    }


def labels(held: Sequence[Standing]) -> list[str]:
    """A name for each entry of a ranking that no other has: of entries with one name the later are numbered."""
    seen: Counter[str] = Counter()
    found = []
    for one in held:
        seen[one.name] += 1
        found.append(one.name if seen[one.name] == 1 else f"{one.name} ({seen[one.name]})")
    return found


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


def _entry(one: Standing, label: str) -> dict[str, Any]:
    known = one.to_dict()
    return {
        "label": label,
        "head": known["head"],
        "seeds": known["seeds"],
        "costs": {key: known["costs"][key] for key in COSTS},
        "scores": {key: [value["mean"], value["std"]] for key, value in known["scores"].items()},
        "options": _shown(known["options"] or {}),
        "notes": known["notes"],
    }


def _shown(options: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in options.items())
