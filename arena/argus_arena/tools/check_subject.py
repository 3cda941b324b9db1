"""The object that a name on the command line of ``arena check`` stands for; only files need torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from argus_core.errors import ArgusError, unknown
from argus_core.plugins.files import is_file_spec, load_module, load_object
from argus_core.plugins.hooks import load_plugins
from argus_core.registry import BACKBONES, HEADS, TASKS

KINDS = ("head", "task", "backbone", "data")


def find_target(name: str, kind: str | None = None) -> tuple[str, Any]:
    """Kind and object of a name; raises ArgusError for one that is unknown, or that several kinds have."""
    if kind is not None and kind not in KINDS:
        raise unknown("kind", kind, KINDS)
    if is_file_spec(name):
        return _from_file(name, kind)
    kinds = [kind] if kind else _kinds(name)
    if len(kinds) > 1:
        both = " and of a ".join("data set" if one == "data" else one for one in kinds)
        raise ArgusError(f"{name!r} is the name of a {both}; say which: --kind {kinds[0]}")
    if not kinds:
        entries = [entry.name for registry in (HEADS, TASKS, BACKBONES) for entry in registry.entries()]
        raise unknown("head, task, backbone or data set", name, [*entries, *load_plugins().datasets()])
    registry = {"head": HEADS, "task": TASKS}.get(kinds[0])
    if registry is not None:
        registry.find(name)
    return kinds[0], name


def _kinds(name: str) -> list[str]:
    """The kinds of object that have this name, or its part before a colon."""
    first = name.partition(":")[0]
    known = {
        kind: {text for entry in registry.entries() for text in (entry.name, entry.name.partition(".")[2])}
        for kind, registry in (("head", HEADS), ("task", TASKS), ("backbone", BACKBONES))
    }
    found = [kind for kind, names in known.items() if (first if kind == "backbone" else name) in names]
    is_data = first in load_plugins().datasets() or Path(name.split(",")[0]).exists()
    return [*found, *(["data"] if is_data else [])]


def _from_file(spec: str, kind: str | None) -> tuple[str, Any]:
    if kind != "data":
        from argus_core.plugins.register import registry_of

        target = load_object(spec, kind)
        return registry_of(target).kind, target
    path, _, name = spec.rpartition(":")
    opener = getattr(load_module(path), name, None) if path.endswith(".py") else None
    if not callable(opener):
        raise ArgusError(f"{spec} is no function that opens a data set; write PATH.py:FUNCTION")
    return kind, opener
