"""What a head is taught for, which one, where it looks, and what it is called, where nobody says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from argus_core.canvas import Canvas
from argus_core.data import Split
from argus_core.errors import ArgusError
from argus_core.model import Composition
from argus_core.model.heads import check_name
from argus_core.plugins.data_spec import find_opener
from argus_core.registry import HEADS
from argus_core.registry.places import Role
from argus_core.tasks import Task

CANVAS = Canvas(320)
"""What a model without heads looks at."""


OF_POINTS: Mapping[str, Any] = {"balance": 1.0}
"""Options of ``segment.ridge`` for points: how many a class has says nothing of how often it occurs."""


def find_task(split: Split, name: str | None) -> Task:
    """The task of a split with this name, by default its only one that heads can be solved for."""
    if name is not None and name not in split.tasks:
        raise ArgusError(f"{split.name} has no annotations for {name!r}; it has {', '.join(split.tasks) or 'none'}")
    found = [task for task in split.tasks.values() if name == task.name or (name is None and task.floor)]
    if not split.tasks:
        raise ArgusError(f"the images of {split.name} have no annotations; give a data set with labels, boxes or masks")
    if len(found) > 1:
        names = [task.name for task in found]
        raise ArgusError(f"the images are annotated for {' and '.join(names)}; say which: --task {names[0]}")
    return found[0] if found else next(iter(split.tasks.values()))


def minute_head(task: Task) -> str:
    """The head that is solved for a task by default; raises ArgusError where there is none."""
    if not task.floor:
        solved = ", ".join(sorted(entry.name for entry in HEADS.entries() if entry.name.startswith(f"{task.name}.")))
        raise ArgusError(
            f"task {task.name!r} has no head that is solved from a few images; its heads are {solved or 'none'}: "
            "see `arena train`"
        )
    return task.floor


def head_options(kind: str, spec: str, options: Mapping[str, Any]) -> Mapping[str, Any]:
    """The options of a head, with those for points where the data are clicks."""
    return {**OF_POINTS, **options} if kind == "segment.ridge" and spec.startswith("clicks:") else options


def canvas_for(argus: Composition, task: Task, wanted: Canvas | None) -> Canvas:
    """The canvas a new head looks at: that of all heads, the one asked for, that of a head of its task, or any."""
    if argus.canvas is not None:
        if wanted not in (None, argus.canvas):
            raise ArgusError(f"all heads of the model look at {argus.canvas.label}; leave out the canvas")
        return argus.canvas
    if wanted is not None:
        return wanted
    alike = [name for name in argus.heads if argus.head(name).task.name == task.name]
    return next((argus.canvas_of(name) for name in (*alike, *argus.heads)), CANVAS)


def check_name_of_head(name: str) -> None:
    """Raise ArgusError for a name that no head can have."""
    check_name(name)
    if not re.fullmatch(r"[\w-]+", name):
        raise ArgusError(f"{name!r} cannot name a head; use letters, digits, _ and -")


def check_free(heads: Mapping[str, Role], name: str, task: str, replace: bool) -> None:
    """Raise ArgusError for a name that a model's ``heads`` leave no new one for a ``task``, see ``Argus.teach``."""
    if name in heads and not replace:
        raise ArgusError(
            f"the model has a head {name!r} already ({heads[name].head}); give the new one another name "
            "(--name NAME), or put it in its place (--replace)"
        )
    if name in heads and heads[name].task != task:
        raise ArgusError(
            f"the head {name!r} of the model solves {heads[name].task}, the new one {task}: it would be "
            "lost; give the new one another name (--name NAME)"
        )


def default_name(spec: str, task: Task) -> str:
    """The name of the data's file or folder, as far as it can name a head."""
    path = find_opener(spec)[2] if Path(spec).exists() or ":" in spec else spec
    name = re.sub(r"[^\w-]+", "_", Path(path).stem).strip("_")
    return name if name and not hasattr(nn.ModuleDict, name) else f"my_{task.name}"
