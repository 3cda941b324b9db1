"""What is taught from which images: all that is known before there is a model to teach."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from argus_core.canvas import Canvas
from argus_core.data import DataSet, Split
from argus_core.data.hold_out import TRAIN
from argus_core.errors import ArgusError
from argus_core.plugins.data_spec import explicit_spec, open_data, split_of
from argus_core.saving.build import build_head, check_buildable
from argus_core.tasks import Task
from argus_core.teach.choices import check_name_of_head, default_name, find_task, head_options, minute_head
from argus_core.teach.crossval import FOLDS
from argus_core.teach.solve import check_solved
from argus_core.tokens import FeatureInfo

STAND_IN = FeatureInfo.vit(8)
"""Of a backbone that is not known yet."""


@dataclass(frozen=True)
class TeachOptions:
    """How a head is taught: see ``Argus.teach``."""

    task: str | None = None
    head: str | None = None
    name: str | None = None
    canvas: Canvas | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    folds: int = FOLDS
    replace: bool = False
    accept_faults: bool = False


@dataclass(frozen=True)
class Plan:
    """A head of kind ``head`` with ``settings``, which is solved for a task from a split and gets a ``name``.

    ``spec`` names the ``data`` that the split is of.
    """

    spec: str
    data: DataSet
    split: Split
    task: Task
    head: str
    name: str
    settings: Mapping[str, Any]
    options: TeachOptions


def make_plan(data: str | Path | Split, split: str | None, options: TeachOptions) -> Plan:
    """The plan for a data spec, a path, or a split; raises ArgusError for what no model could be taught.

    ``split`` is the name of that to learn from, by default the only one, or ``train``.
    """
    spec, splits, chosen = find_split(data, split)
    task = find_task(chosen, options.task)
    kind, name = options.head or minute_head(task), options.name or default_name(spec, task)
    check_name_of_head(name)
    settings = head_options(kind, spec, options.options)
    check_kind(kind, task, settings)
    return Plan(spec, splits, chosen, task, kind, name, settings, options)


def check_kind(kind: str, task: Task, settings: Mapping[str, Any]) -> None:
    """Raise ArgusError for a head that cannot be solved for a task, as far as that does not depend on the backbone."""
    check_buildable(kind, task, settings)
    try:
        head = build_head(kind, STAND_IN, task, settings)
    except ArgusError:  # such as of layers, which only the model's own backbone tells
        return
    check_solved(kind, head)


def find_split(data: str | Path | Split, name: str | None) -> tuple[str, DataSet, Split]:
    """The data spec, all splits, and that of a name, by default the only one, or ``train``.

    Of a split its name stands for the spec.
    """
    if isinstance(data, Split):
        return data.name, {data.name: data}, data
    spec = explicit_spec(str(data))[0]
    splits = open_data(spec)
    return spec, splits, split_of(splits, name or (next(iter(splits)) if len(splits) == 1 else TRAIN))
