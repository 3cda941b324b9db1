"""The folders of distillations, known without importing torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from argus_core.common.files import read_json


def find_stages(folders: Sequence[Path]) -> list[Path]:
    """The folders of stages of a distillation among some folders and in them, in the order of their recipes."""
    found = [place for folder in folders for place in (folder, *sorted(folder.glob("*"))) if _is_stage(place)]
    return sorted(found, key=lambda place: (place.parent, _order(place)))


def _is_stage(folder: Path) -> bool:
    file = folder / "run.json"
    return file.is_file() and "stage" in read_json(file, "remove the folder").get("identity", {})


def _order(folder: Path) -> int:
    config = read_json(folder / "run.json", "remove the folder")
    return [stage["name"] for stage in config["config"]["stages"]].index(config["identity"]["stage"]["name"])
