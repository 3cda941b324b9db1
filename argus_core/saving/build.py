"""Heads and tasks from names, and back: what a checkpoint or a run record needs to rebuild them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from argus_core.common.options import check_options, options_model
from argus_core.errors import ArgusError
from argus_core.head import Head
from argus_core.plugins.files import resolve
from argus_core.registry import HEADS, TASKS, Entry
from argus_core.registry.loading import shielded
from argus_core.tasks import Task
from argus_core.tokens import FeatureInfo


def head_class(name: str) -> type[Head]:
    """The class registered as ``name``; raises if it is no Head."""
    return _class_of(HEADS.find(name))


def _class_of(entry: Entry) -> type[Head]:
    cls = entry.load()
    if not (isinstance(cls, type) and issubclass(cls, Head)):
        raise ArgusError(f"{entry} is {cls!r}, not a subclass of argus_core.Head")
    task = cls.solves.name
    if not entry.name.startswith(f"{task}."):
        raise ArgusError(f"head {entry} solves {task!r}; its package must name it {task}.NAME")
    return cls


def head_options(name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """All options of a head with ``values`` put in and checked."""
    return check_options(options_model(head_class(name)), values, f"head {name!r}")


def build_head(name: str, info: FeatureInfo, task: Task, options: Mapping[str, Any] | None = None) -> Head:
    """A head by its registered name or file, as ``./my_head.py:MyHead``, which keeps name and options to be saved."""
    return registered_head(resolve(name, "head"), info, task, options or {})


def registered_head(name: str, info: FeatureInfo, task: Task, options: Mapping[str, Any]) -> Head:
    """``build_head`` for names that were read from a file: it runs no code that such a name might point to."""
    entry = HEADS.find(name)
    return make_head(_class_of(entry), entry.name, info, task, options)


def check_buildable(name: str, task: Task, options: Mapping[str, Any]) -> type[Head]:
    """The class of a head by its name or file; raises ArgusError where no backbone could make it for a task."""
    entry = HEADS.find(resolve(name, "head"))
    cls = _class_of(entry)
    _checked(cls, entry.name, task, options)
    return cls


def _checked(cls: type[Head], name: str, task: Task, options: Mapping[str, Any]) -> dict[str, Any]:
    """All options of a head for a task."""
    if not isinstance(task, cls.solves):
        raise ArgusError(
            f"head {name!r} solves {cls.solves.name}, the data has {task.name}; choose another head or data"
        )
    return check_options(options_model(cls), options, f"head {name!r}")


def make_head(cls: type[Head], name: str, info: FeatureInfo, task: Task, options: Mapping[str, Any]) -> Head:
    """A head of a class that need not be registered; ``options`` are checked as those of ``name``."""
    checked = _checked(cls, name, task, options)
    listed = ", ".join(f"{key}={value!r}" for key, value in checked.items()) or "no options"
    layers = f"the backbone has {info.depth} layers, 0 to {info.depth - 1} or -1 to -{info.depth}"
    with shielded(f"head {name!r} cannot be made with {listed}", lambda: layers, (ArgusError,)):
        head = cls(info, task, **checked)
    head.needs.resolve(info)
    head.name = name
    head.options = {key: str(value) if isinstance(value, Path) else value for key, value in checked.items()}
    return head


def task_to_dict(task: Task) -> dict[str, Any]:
    """A task as plain JSON values: its registered name and its numbers."""
    return {"task": task.name, **task.model_dump(mode="json")}


def task_from_dict(values: Mapping[str, Any]) -> Task:
    """Rebuild a task from ``task_to_dict``."""
    fields = dict(values)
    cls = TASKS.load(fields.pop("task"))
    return cls(**check_options(cls, fields, f"task {cls.name!r}"))
