"""What a comparison trains: one task's heads, their configuration, and the groups that share a read."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from argus_arena.comparison.grouping import Grouping, make_groups, select_heads
from argus_arena.comparison.opened import open_once
from argus_arena.distributed import Distributed, join_processes
from argus_arena.requests import Comparison, RunRequest
from argus_arena.run.config import MUTABLE, RunConfig, registered_name, resolve, sized, split_name
from argus_arena.run.data_faults import check_run_data
from argus_arena.run.folder import difference
from argus_arena.run.sources import RunData
from argus_core.common.files import read_json, write_json
from argus_core.errors import ArgusError, unknown
from argus_core.registry import HEADS
from argus_core.saving.build import head_class
from argus_core.tasks import Task

ALL = "all"
FILE = "compare.json"
REMEDY = "choose another --out, or remove the folder"


@dataclass(frozen=True)
class Plan:
    """The resolved run of all heads, its groups, and notes of faults of the data that were accepted."""

    config: RunConfig
    grouping: Grouping
    accepted: tuple[str, ...]

    def group(self, number: int, seed: int) -> RunConfig:
        """The run of one group with one seed."""
        config = select_heads(self.config, self.grouping.groups[number])
        return config.model_copy(update={"request": config.request.model_copy(update={"seed": seed})})


def make_plan(request: RunRequest, comparison: Comparison) -> Plan:
    """Try a step of every head and group those that can train, or take the groups of an earlier call in the folder.

    Raises ArgusError for the folder of another comparison, for data that would make results wrong, and without a head.
    """
    with join_processes(request.device) as process:
        if process.size > 1:
            raise ArgusError("a comparison runs in one process; start it without torchrun")
        data, _ = open_once(request)
        task = _task(data.train.tasks, comparison.task, request.heads)
        heads = _heads(request.heads, task)
        config = sized(resolve(request.model_copy(update={"heads": heads})), data.images)
        accepted = check_run_data(data, [task.name], request.accept_faults)  # once for all runs
        return Plan(config, _grouping(config, data, process, comparison), tuple(accepted))


def is_plan(file: Path) -> bool:
    """Whether a file is the plan of a comparison."""
    plan = read_json(file, REMEDY) if file.is_file() else {}
    return isinstance(plan, dict) and {"config", "groups"} <= plan.keys()


def _heads(named: Sequence[str], task: Task) -> tuple[str, ...]:
    """The heads that were named, or every one of the task, and the task's floor."""
    installed = [entry.name for entry in HEADS.entries()]
    heads = tuple(name for name in installed if name.startswith(f"{task.name}.")) if ALL in named else tuple(named)
    floor = type(task).floor
    if floor in installed and floor not in {registered_name(split_name(text)[1]) for text in heads}:
        return (*heads, floor)
    return heads


def _task(tasks: Mapping[str, Task], wanted: str, heads: Sequence[str]) -> Task:
    """The task to compare: ``wanted``, or that of the heads, or the only one of the data."""
    names = [wanted] if wanted else sorted({_solved(text) for text in heads if text != ALL}) or list(tasks)
    if len(names) > 1:
        raise ArgusError(f"one task is compared at a time, and there are {', '.join(names)}; choose with --task NAME")
    if names[0] not in tasks:
        raise unknown("task of this data", names[0], tasks)
    return tasks[names[0]]


def _solved(text: str) -> str:
    return head_class(registered_name(split_name(text)[1])).solves.name


def _grouping(config: RunConfig, data: RunData, process: Distributed, comparison: Comparison) -> Grouping:
    """The groups of an earlier call in the same folder, or new ones."""
    file, identity = comparison.out / FILE, _identity(config, data)
    if file.exists():
        plan = read_json(file, REMEDY)
        known = {key: value for key, value in identity.items() if key in plan}  # older plans do not name the data
        if found := difference({key: plan[key] for key in known}, known):
            raise ArgusError(f"{file} is of another comparison: {found}; {REMEDY}")
        return Grouping(tuple(map(tuple, plan["groups"])), plan["left_out"])
    print(f"trying a step of each of {len(config.heads)} heads", file=sys.stderr)
    grouping = make_groups(config, data, process, comparison.memory)
    for name, reason in grouping.left_out.items():
        print(f"{name} is left out: {reason}", file=sys.stderr)
    if not grouping.groups:
        raise ArgusError(f"no head can be trained on this data: {'; '.join(dict.fromkeys(grouping.left_out.values()))}")
    write_json(file, {**asdict(grouping), **identity})
    return grouping


def _identity(config: RunConfig, data: RunData) -> dict[str, Any]:
    """What decides the outcome of all runs but their seeds."""
    return {
        "config": config.model_dump(mode="json", exclude={"request": {*MUTABLE, "seed"}}),
        "data": list(data.digests),
        "tokens": [data.cached.train.id, data.cached.val.id] if data.cached else None,
    }
