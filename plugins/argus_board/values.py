"""What trackers are told of a run, by the same names in each: scalars by tag and step, and parameters of a head."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

NO_CURVE = ("step", "head", "epoch", "trial")
"""Fields of a training record that say where it belongs."""


class Scalars(NamedTuple):
    """Finite values by tag at one step; within a ``stage`` of a head, steps only grow."""

    stage: str
    step: int
    values: dict[str, float]


def of_record(record: Mapping[str, Any]) -> Scalars:
    """A line of the log as ``train/loss``, ``train/lr`` (a sweep's ``train lr=3/loss``), or ``live/AP``, ``ema/AP``."""
    if "eval" in record:
        return _scalars(record["weights"], record["step"], record["eval"])
    stage = f"train {record['trial']}" if "trial" in record else "train"
    return _scalars(stage, record["step"], {key: value for key, value in record.items() if key not in NO_CURVE})


def of_row(row: Mapping[str, Any]) -> Scalars:
    """The scores that a result row holds, as ``best/AP`` at the step they were selected."""
    return _scalars("best", row["selected"]["step"], row["metrics"])


def parameters(config: Mapping[str, Any], head: str) -> dict[str, Any]:
    """What a head was trained with, flat: ``head``, ``options.width``, ``recipe.lr``, ``request.seed`` and so on."""
    return _flat({**config["heads"][head], "request": config.get("request", {})})


def group(run: Path) -> str:
    """What the heads of a run are grouped by: the end of its folder's path, as in ``runs/fcos-1a2b3c4d``."""
    return "/".join(run.absolute().parts[1:][-3:])[-128:]


def _scalars(stage: str, step: int, values: Mapping[str, float | None]) -> Scalars:
    return Scalars(
        stage, step, {f"{stage}/{name}": v for name, v in values.items() if v is not None and math.isfinite(v)}
    )


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        found |= _flat(value, f"{name}.") if isinstance(value, Mapping) and value else {name: value}
    return found
