"""The scores that an arena wrote beside a head's checkpoint, so that they can travel with the head."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from argus_core.files import read_json

KEPT = ("protocol", "primary", "higher_is_better", "metrics", "framing", "data", "notes", "versions")


def scores_beside(checkpoint: Path, weights_sha256: str) -> list[dict[str, Any]]:
    """What is known of exactly these weights: the run's own score of its best ones, and rows of ``arena eval``."""
    remedy = "remove it, or score the head again"
    own = checkpoint.parent / "result.json"
    rows = [read_json(own, remedy)] if checkpoint.name == "best.safetensors" and own.is_file() else []
    again = [read_json(file, remedy) for file in sorted((checkpoint.parent / "scores").glob("*.json"))]
    rows += [row for row in again if row.get("weights_sha256") == weights_sha256]
    return [{key: row[key] for key in KEPT if key in row} for row in rows]
