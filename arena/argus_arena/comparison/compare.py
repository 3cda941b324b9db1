"""Many heads on the same tokens, over several seeds: trained in groups on one read each, and ranked."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from argus_arena.comparison.grouping import Grouping, make_groups, select_heads
from argus_arena.distributed import Distributed, join_processes
from argus_arena.leaderboard.board import as_csv, as_markdown, plain, print_board
from argus_arena.leaderboard.standings import Standing, rankings, read_rows
from argus_arena.requests import Comparison, RunRequest
from argus_arena.run.config import MUTABLE, RunConfig, registered_name, resolve, sized, split_name
from argus_arena.run.data_faults import check_run_data
from argus_arena.run.sources import RunData, open_run_data
from argus_arena.training.train import HeadsFailed, open_plugins, run_config
from argus_core.common.files import read_json, write_json, write_text
from argus_core.common.folders import claim
from argus_core.common.progress import finished
from argus_core.errors import ArgusError, unknown
from argus_core.plugins.hooks import Plugins
from argus_core.registry import HEADS
from argus_core.saving.build import head_class
from argus_core.tasks import Task

ALL = "all"
PLAN = "compare.json"
FAILURES = "failures.json"


def compare_heads(request: RunRequest, comparison: Comparison) -> tuple[list[Standing], dict[str, str]]:
    """Train, or go on training, every head with every seed, write the leaderboard and print it.

    A head that fails is named at the end and stops no other; heads train with the same numbers as alone. Returns the
    entries, and what failed and why, by ``seedN/HEAD``, or by its name for a head that was not begun.
    """
    began, out = time.perf_counter(), comparison.out
    claim(out, _is_comparison, "comparison")
    plugins = open_plugins()
    with join_processes(request.device) as process:
        if process.size > 1:
            raise ArgusError("a comparison runs in one process; start it without torchrun")
        data = open_run_data(request, plugins)
        task = _task(data.train.tasks, comparison.task, request.heads)
        heads = _heads(request.heads, task)
        config = sized(resolve(request.model_copy(update={"heads": heads})), data.images)
        accepted = check_run_data(data, [task.name], request.accept_faults)  # once for all runs
        grouping = _plan(config, data, process, comparison)
        failures = dict(grouping.left_out)
        for seed in range(comparison.seeds):
            for number, names in enumerate(grouping.groups):
                run = out / f"seed{seed}" / f"group{number}"
                failures |= _train(_seeded(select_heads(config, names), seed), data, plugins, process, run, accepted)
    write_json(out / FAILURES, failures)
    entries = _conclude(out, failures)
    finished("leaderboard", f"{out / 'leaderboard.json'} (.csv, .md)", time.perf_counter() - began)
    print(f"next: arena report {out} --out report.html")
    return entries, failures


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


def _plan(config: RunConfig, data: RunData, process: Distributed, comparison: Comparison) -> Grouping:
    """The groups of an earlier call in the same folder, or new ones."""
    file = comparison.out / PLAN
    identity = config.model_dump(mode="json", exclude={"request": {*MUTABLE, "seed"}})
    if file.exists():
        plan = read_json(file, "choose another --out, or remove the folder")
        if plan["config"] != identity:
            raise ArgusError(f"{file} is of another comparison; choose another --out, or remove the folder")
        return Grouping(tuple(map(tuple, plan["groups"])), plan["left_out"])
    print(f"trying a step of each of {len(config.heads)} heads", file=sys.stderr)
    grouping = make_groups(config, data, process, comparison.memory)
    for name, reason in grouping.left_out.items():
        print(f"{name} is left out: {reason}", file=sys.stderr)
    if not grouping.groups:
        raise ArgusError(f"no head can be trained on this data: {'; '.join(dict.fromkeys(grouping.left_out.values()))}")
    write_json(file, {**asdict(grouping), "config": identity})
    return grouping


def _is_comparison(out: Path) -> bool:
    """Whether a folder holds the plan of a comparison."""
    file = out / PLAN
    plan = read_json(file, "choose another --out, or remove the folder") if file.is_file() else {}
    return isinstance(plan, dict) and {"config", "groups"} <= plan.keys()


def _seeded(config: RunConfig, seed: int) -> RunConfig:
    return config.model_copy(update={"request": config.request.model_copy(update={"seed": seed})})


def _train(
    config: RunConfig, data: RunData, plugins: Plugins, process: Distributed, run: Path, accepted: Sequence[str]
) -> dict[str, str]:
    """Train a group; returns what went wrong, by seed and head."""
    seed = config.request.seed
    print(f"seed {seed}: {', '.join(config.heads)}", file=sys.stderr)
    try:
        run_config(config, data, plugins, process, run, accepted)
    except HeadsFailed as failed:
        return {f"seed{seed}/{name}": reason for name, reason in failed.reasons.items()}
    except Exception as error:  # of whatever kind: the other groups go on
        print(f"seed {seed}: {error}", file=sys.stderr)
        return {f"seed{seed}/{'+'.join(config.heads)}": f"{type(error).__name__}: {error}"}
    return {}


def _conclude(out: Path, failures: Mapping[str, str]) -> list[Standing]:
    """Write the leaderboard as JSON, CSV and Markdown, and print it with what lost to the floor or failed."""
    ranked = rankings(read_rows([out]))
    write_json(out / "leaderboard.json", plain(ranked))
    write_text(out / "leaderboard.csv", as_csv(ranked))
    write_text(out / "leaderboard.md", as_markdown(ranked))
    print_board([out])
    entries = [entry for standings in ranked.values() for entry in standings]
    for line in [*below_floor(entries), *(f"failed: {name}: {reason}" for name, reason in failures.items())]:
        print(line)
    return entries


def below_floor(entries: Sequence[Standing]) -> list[str]:
    """A line that names the heads which score no better than the closed-form one, where there is one."""
    from argus_core.registry import TASKS

    lines = []
    for floor in entries:
        if TASKS.load(floor.rows[0]["task"]).floor != floor.rows[0]["head"]:
            continue
        value, sign = floor.mean(floor.primary), 1 if floor.rows[0]["higher_is_better"] else -1
        losers = [entry.name for entry in entries if entry is not floor and _loses(entry, value, sign)]
        lines.append(f"no better than {floor.name}, which takes no gradient step: {', '.join(losers) or 'none'}")
    return lines


def _loses(entry: Standing, floor: float | None, sign: int) -> bool:
    value = entry.mean(entry.primary)
    return value is None or (floor is not None and sign * value <= sign * floor)
