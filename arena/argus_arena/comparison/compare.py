"""Many heads on the same tokens, over several seeds: trained in groups on one read each, and ranked."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from argus_arena.comparison.grouping import Grouping, make_groups, only
from argus_arena.distributed import Distributed, join_processes, leave_processes
from argus_arena.leaderboard.board import as_csv, as_markdown, plain, print_board
from argus_arena.leaderboard.rows import read_rows
from argus_arena.leaderboard.standings import Standing, rankings
from argus_arena.run.config import FREE, RunConfig, registered_name, resolve, split_name
from argus_arena.run.data_faults import heed_run
from argus_arena.run.recipes import sized
from argus_arena.run.sources import check_origin
from argus_arena.training.train import HeadsFailed, make_request, run_config
from argus_core.common.files import read_json, write_json, write_text
from argus_core.common.folders import claim
from argus_core.common.progress import finished
from argus_core.errors import ArgusError, unknown
from argus_core.plugins.data_spec import open_data, split_of
from argus_core.plugins.hooks import Plugins, load_plugins
from argus_core.registry import HEADS
from argus_core.saving.build import head_class
from argus_core.tasks import Task

ALL = "all"
PLAN = "compare.json"
FAILURES = "failures.json"


@dataclass(frozen=True)
class Comparison:
    """What ``arena compare`` is told beside what ``arena train`` is: seeds, GiB for a group, and the task."""

    out: Path
    seeds: int = 1
    memory: float | None = None
    task: str = ""


def compare_heads(
    given: Mapping[str, Any], settings: Mapping[str, Any], config: Path | None, comparison: Comparison
) -> tuple[list[Standing], dict[str, str]]:
    """Train, or go on training, every head with every seed, write the leaderboard and print it.

    A head that fails is named at the end and stops no other; heads train with the same numbers as alone. Returns the
    entries, and what failed and why, by ``seedN/HEAD`` or, of a head that was not begun, by its name.
    """
    began = time.perf_counter()
    claim(comparison.out, _is_comparison, "comparison")
    plugins = load_plugins()
    for name, reason in plugins.failed.items():
        print(f"warning: plugin {name} was left out: {reason}", file=sys.stderr)
    process = join_processes(given.get("device"))
    try:
        if process.size > 1:
            raise ArgusError("a comparison runs in one process; start it without torchrun")
        resolved, accepted = _resolve(given, settings, config, comparison.task, plugins)
        grouping = _plan(resolved, plugins, process, comparison)
        failures = dict(grouping.left_out)
        for seed in range(comparison.seeds):
            for number, names in enumerate(grouping.groups):
                run = comparison.out / f"seed{seed}" / f"group{number}"
                failures |= _train(only(resolved, names), seed, run, plugins, process, accepted)
    finally:
        leave_processes(process)
    write_json(comparison.out / FAILURES, failures)
    entries = _conclude(comparison.out, failures)
    finished("leaderboard", f"{comparison.out / 'leaderboard.json'} (.csv, .md)", time.perf_counter() - began)
    print(f"next: arena report {comparison.out} --out report.html")
    return entries, failures


def _resolve(
    given: Mapping[str, Any], settings: Mapping[str, Any], config: Path | None, task: str, plugins: Plugins
) -> tuple[RunConfig, list[str]]:
    """The run of all heads together: those that were named, or every one of the task, and the task's floor.

    And notes of what was accepted of the data, which are heeded here, once for all runs.
    """
    request = make_request(given, settings, config)
    check_origin(request)
    data = open_data(request.data, plugins)
    train, val = split_of(data, request.train_split), split_of(data, request.val_split)
    chosen = _task(train.tasks, task, request.heads)
    named = request.heads if ALL not in request.heads else _every(chosen)
    floor = type(chosen).floor
    held = {registered_name(split_name(text)[1]) for text in named}
    if floor in {entry.name for entry in HEADS.entries()} and floor not in held:
        named = (*named, floor)
    resolved = sized(resolve(request.model_copy(update={"heads": tuple(named)})), plugins)
    return resolved, heed_run(request, train, val, [chosen.name])


def _task(tasks: Mapping[str, Task], wanted: str, heads: Sequence[str]) -> Task:
    """The task that is compared: the one asked for, that of the heads, or the only one of the data."""
    names = [wanted] if wanted else sorted({_solved(text) for text in heads if text != ALL}) or list(tasks)
    if len(names) > 1:
        raise ArgusError(f"one task is compared at a time, and there are {', '.join(names)}; choose with --task NAME")
    if names[0] not in tasks:
        raise unknown("task of this data", names[0], tasks)
    return tasks[names[0]]


def _solved(text: str) -> str:
    return head_class(registered_name(split_name(text)[1])).solves.name


def _every(task: Task) -> tuple[str, ...]:
    """All installed heads of a task."""
    return tuple(entry.name for entry in HEADS.entries() if entry.name.startswith(f"{task.name}."))


def _plan(config: RunConfig, plugins: Plugins, process: Distributed, comparison: Comparison) -> Grouping:
    """The groups of an earlier call in the same folder, or new ones."""
    file = comparison.out / PLAN
    identity = config.model_dump(mode="json", exclude={"request": {*FREE, "seed"}})
    if file.exists():
        held = read_json(file, "choose another --out, or remove the folder")
        if held["config"] != identity:
            raise ArgusError(f"{file} is of another comparison; choose another --out, or remove the folder")
        return Grouping(tuple(map(tuple, held["groups"])), held["left_out"])
    print(f"trying a step of each of {len(config.heads)} heads", file=sys.stderr)
    grouping = make_groups(config, plugins, process, comparison.memory)
    for name, reason in grouping.left_out.items():
        print(f"{name} is left out: {reason}", file=sys.stderr)
    if not grouping.groups:
        raise ArgusError(f"no head can be trained on this data: {'; '.join(dict.fromkeys(grouping.left_out.values()))}")
    write_json(file, {**asdict(grouping), "config": identity})
    return grouping


def _is_comparison(out: Path) -> bool:
    """Whether a folder holds the plan of a comparison."""
    file = out / PLAN
    held = read_json(file, "choose another --out, or remove the folder") if file.is_file() else {}
    return isinstance(held, dict) and {"config", "groups"} <= held.keys()


def _train(
    config: RunConfig, seed: int, run: Path, plugins: Plugins, process: Distributed, accepted: Sequence[str]
) -> dict[str, str]:
    """Train a group with one seed; returns what went wrong, by head."""
    seeded = config.model_copy(update={"request": config.request.model_copy(update={"seed": seed})})
    print(f"seed {seed}: {', '.join(config.heads)}", file=sys.stderr)
    try:
        run_config(seeded, plugins, process, run, accepted)
    except HeadsFailed as failed:
        return {f"seed{seed}/{name}": reason for name, reason in failed.reasons.items()}
    except Exception as error:  # whatever one group meets, the others go on
        print(f"seed {seed}: {error}", file=sys.stderr)
        return {f"seed{seed}/{'+'.join(config.heads)}": f"{type(error).__name__}: {error}"}
    return {}


def _conclude(out: Path, failures: Mapping[str, str]) -> list[Standing]:
    """Write the leaderboard as JSON, CSV and Markdown, and print it with what lost to the floor or failed."""
    found = rankings(read_rows([out]))
    write_json(out / "leaderboard.json", plain(found))
    write_text(out / "leaderboard.csv", as_csv(found))
    write_text(out / "leaderboard.md", as_markdown(found))
    print_board([out])
    entries = [one for held in found.values() for one in held]
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
        losers = [one.name for one in entries if one is not floor and _loses(one, value, sign)]
        lines.append(f"no better than {floor.name}, which takes no gradient step: {', '.join(losers) or 'none'}")
    return lines


def _loses(one: Standing, floor: float | None, sign: int) -> bool:
    value = one.mean(one.primary)
    return value is None or (floor is not None and sign * value <= sign * floor)
