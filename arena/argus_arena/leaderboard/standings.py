"""Result rows below some folders; those that differ only in their seed are one entry of a ranking."""

from __future__ import annotations

import math
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from argus_arena.hardware import deciding, listed
from argus_arena.leaderboard.choice import chosen_on
from argus_core.common.files import json_sha256, read_json
from argus_core.common.places import place, snapshot
from argus_core.errors import ArgusError, unknown

Row = Mapping[str, Any]
PATTERNS = ("result.json", "scores/*.json")
ERROR = "calibration_error"
"""How far calibrated confidences are from the share of right answers: another number where less is better."""
COSTS = ("parameters", "macs", "milliseconds", "epochs", "train_seconds", "cache_bytes", ERROR)
"""The costs in a row: of the head, of one image, and of all images."""
SAME = ("name", "head", "options", "recipe", "decoding", "framing")
"""Fields that rows of one entry have in common, besides data and tokens."""


def find_rows(folders: Sequence[Path]) -> list[Path]:
    """The files that hold rows; ArgusError without any."""
    places = [snapshot(place(folder)) for folder in folders]
    paths = sorted({path for folder in places for pattern in PATTERNS for path in folder.rglob(pattern)})
    if not paths:
        raise ArgusError(f"no result.json below {', '.join(map(str, folders))}; finish a run first")
    return paths


def read_rows(folders: Sequence[Path]) -> list[Row]:
    """Every row, with its own ``path``; files that are none are named on standard error. ArgusError without any."""
    return [row for path in find_rows(folders) if (row := _read(path)) is not None]


def read_row(path: Path) -> Row:
    """One row; raises ArgusError if the file holds none."""
    row = read_json(path, "choose a result.json of a run")
    if not isinstance(row, dict) or not {"protocol", "data", "metrics", "primary"} <= set(row):
        raise ArgusError(f"{path} is no result row; choose a result.json of a run")
    return {**row, "path": str(path)}


def _read(path: Path) -> Row | None:
    try:
        return read_row(path)
    except ArgusError as error:
        print(f"warning: {error}; it is left out", file=sys.stderr)
        return None


@dataclass(frozen=True)
class RankingKey:
    """Entries are ranked together if these agree: the rules, and the images and annotations that are scored."""

    protocol: str
    sha256: str
    images: int

    @classmethod
    def of(cls, row: Row) -> RankingKey:
        """The key of the ranking that a row belongs to."""
        scored = row["data"]["val"]
        return cls(row["protocol"], scored["sha256"], scored["images"])


@dataclass(frozen=True)
class Standing:
    """One head under one set of options and recipe, on the same training data and tokens, with all its seeds."""

    rows: tuple[Row, ...]

    @property
    def name(self) -> str:
        """The name the head has in its run."""
        return str(self.rows[0]["name"])

    @property
    def hardware(self) -> str:
        """What it was trained on, in words; empty where its rows do not say."""
        return listed(self.rows[0].get("hardware", ()))

    @property
    def chosen_on(self) -> str | None:
        """The split on which its weights were chosen, None if they were not."""
        return chosen_on(self.rows[0])

    @property
    def dtype(self) -> str:
        """The number format of the cache that it learnt from, or ``live``."""
        return str(self.rows[0]["tokens"].get("dtype", "live"))

    @property
    def primary(self) -> str:
        """The score that decides."""
        return str(self.rows[0]["primary"])

    def mean(self, key: str) -> float | None:
        """The mean over seeds of a score or cost; None where a seed has none."""
        values = [_value(row, key) for row in self.rows]
        known = [value for value in values if value is not None]
        return statistics.fmean(known) if known and len(known) == len(values) else None

    def deviation(self, key: str) -> float | None:
        """The sample standard deviation over seeds; None of a single one."""
        if len(self.rows) < 2 or self.mean(key) is None:
            return None
        return statistics.stdev(_value(row, key) or 0.0 for row in self.rows)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values: configuration, means and deviations, and the path of each row."""
        first = self.rows[0]
        scores = {key: {"mean": self.mean(key), "std": self.deviation(key)} for key in first["metrics"]}
        return {
            **{key: first[key] for key in ("name", "head", "task", "protocol", "primary", "higher_is_better")},
            "data": first["data"],
            "chosen_on": self.chosen_on,
            "seeds": [row.get("seed") for row in self.rows],
            "scores": scores,
            "costs": {key: self.mean(key) for key in COSTS},
            **{key: first.get(key) for key in ("options", "recipe", "tokens", "hardware", "license", "versions")},
            "notes": list(dict.fromkeys(note for row in self.rows for note in row["notes"])),
            "rows": [row["path"] for row in self.rows if "path" in row],
        }


Rankings = dict[RankingKey, list[Standing]]


def rankings(rows: Sequence[Row], sort: str | None = None) -> Rankings:
    """Entries by ranking, the best first, by the primary score or by another score or cost; one row per seed.

    Raises ArgusError for a key that no row has.
    """
    entries: dict[str, dict[Any, Row]] = {}
    for row in rows:
        # A repeated or copied training adds nothing: the first row of a seed counts.
        entries.setdefault(_entry(row), {}).setdefault(row.get("seed"), row)
    ranked: Rankings = {}
    for by_seed in entries.values():
        ordered = sorted(by_seed.values(), key=lambda row: row.get("seed") or 0)
        ranked.setdefault(RankingKey.of(ordered[0]), []).append(Standing(tuple(ordered)))
    if sort is not None:
        known = {*COSTS, "name", *(key for row in rows for key in row["metrics"])}
        if sort not in known:
            raise unknown("score or cost", sort, known)
    return {
        key: sorted(standings, key=lambda entry: _order(entry, sort or entry.primary))
        for key, standings in ranked.items()
    }


def _order(entry: Standing, key: str) -> tuple[bool, Any, str]:
    if key == "name":
        return False, entry.name, ""
    value = entry.mean(key)
    descending = key in entry.rows[0]["metrics"] and entry.rows[0]["higher_is_better"]
    return value is None, 0.0 if value is None else -value if descending else value, entry.name


def _value(row: Row, key: str) -> float | None:
    if key == ERROR:
        value = ((row.get("calibration") or {}).get("ece") or {}).get("after")
    else:
        value = row["metrics"].get(key, row.get(key))
    return None if value is None or not math.isfinite(value) else float(value)


def _entry(row: Row) -> str:
    """A digest that rows of one entry share: of everything but the seed and its consequences."""
    train = row["data"].get("train", {}).get("sha256")
    tokens = {key: value for key, value in row["tokens"].items() if key != "backbone"}
    backbone = row["tokens"]["backbone"]["sha256"]
    same = [*(row.get(key) for key in SAME), deciding(row.get("hardware", ()))]
    seed = row.get("seed", row.get("weights_sha256"))  # a head that was scored again has no seed
    distinct = seed if "seed" not in row else None
    chosen = [chosen_on(row), (row.get("selected") or {}).get("images")]
    return json_sha256([vars(RankingKey.of(row)), train, tokens, backbone, same, chosen, distinct])
