"""Runs beside this one that solve other tasks on other canvases: together they would not share a backbone pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from argus_core.common.files import read_json
from argus_core.errors import ArgusError


def canvas_notices(folder: Path, config: Mapping[str, Any], record: Mapping[str, Any]) -> list[str]:
    """A line per task of the runs beside ``folder`` that have no head on this run's canvas, of the same backbone."""
    own, here = _tasks(config), _canvas(record)
    elsewhere: dict[str, tuple[Path, str]] = {}
    shared = set(own)
    for path, held in _beside(folder):
        if _backbone(held["record"]) != _backbone(record):
            continue
        where = _canvas(held["record"])
        for task in _tasks(held["config"]):
            if where == here:
                shared.add(task)
            elsewhere[task] = (path, where)
    return [
        f"notice: {task} in {path} is on {where}, this run on {here}: one model of both takes two backbone passes, "
        "train both on one canvas to share one"
        for task, (path, where) in elsewhere.items()
        if task not in shared
    ]


def _beside(folder: Path) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """The other runs in the same folder; what cannot be read says nothing here."""
    for file in sorted(folder.absolute().parent.glob("*/run.json")):
        if file.parent == folder.absolute():
            continue
        try:
            held = read_json(file, "it is only looked at")
            _tasks(held["config"]), _canvas(held["record"]), _backbone(held["record"])
        except (ArgusError, OSError, KeyError, TypeError, AttributeError):
            continue
        yield folder.parent / file.parent.name, held


def _tasks(config: Mapping[str, Any]) -> list[str]:
    return [head["head"].partition(".")[0] for head in config["heads"].values()]


def _canvas(record: Mapping[str, Any]) -> str:
    canvas = record["tokens"]["canvas"]
    return f"{canvas['height']}x{canvas['width']} {canvas['fit']}"


def _backbone(record: Mapping[str, Any]) -> str:
    return str(record["tokens"]["backbone"]["sha256"])
