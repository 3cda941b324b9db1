"""What the training commands do, without their command line."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from argus_arena.distributed import Distributed, Interrupted, join_processes, leave_processes
from argus_arena.hardware import moves
from argus_arena.leaderboard.board import print_rows
from argus_arena.progress import ConsoleReporter, Reporter
from argus_arena.run.config import FREE, RunConfig, RunRequest, check_files, resolve
from argus_arena.run.config_file import check_needed, merged
from argus_arena.run.context import Setting, prepare
from argus_arena.run.data_faults import heed_run, undefined
from argus_arena.run.folder import RunFolder
from argus_arena.run.recipes import sized
from argus_arena.run.siblings import canvas_notices
from argus_arena.run.sources import check_origin
from argus_arena.training.learner import Learner, make_learners
from argus_arena.training.loop import Loop
from argus_arena.training.recipe_lines import recipe_lines
from argus_arena.training.result import result_rows
from argus_core.common.files import json_sha256, write_json
from argus_core.common.options import check_options
from argus_core.common.progress import finished
from argus_core.errors import ArgusError, unknown
from argus_core.plugins.hooks import Plugins, load_plugins


class HeadsFailed(ArgusError):
    """Some heads of a run did not come to its end; ``reasons`` by their names. The rows of all are written."""

    def __init__(self, reasons: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{name}: {reason}" for name, reason in reasons.items()))
        self.reasons = reasons


def train_run(
    given: Mapping[str, Any],
    settings: Mapping[str, Any],
    config: Path | None,
    out: Path | None,
    dry_run: bool = False,
) -> dict[str, Any]:
    """Train, or continue, one run; returns and prints its result rows."""
    request = make_request(given, settings, config)
    resolved = resolve(request)
    check_origin(request)
    plugins = load_plugins()
    for name, reason in plugins.failed.items():
        print(f"warning: plugin {name} was left out: {reason}", file=sys.stderr)
    resolved = sized(resolved, plugins)
    if dry_run:
        print(resolved.model_dump_json(indent=2))
        return {}
    process = join_processes(request.device)
    try:
        folder = out or _default_folder(resolved)
        rows = run_config(resolved, plugins, process, folder)
        if process.main:
            print(f"next: arena report {folder} --out report.html, argus build {folder} --out models/mine")
        return rows
    finally:
        leave_processes(process)


def make_request(given: Mapping[str, Any], settings: Mapping[str, Any], config: Path | None) -> RunRequest:
    """The request of a configuration file with the command line's values over it."""
    values = merged(given, config)
    known = {*RunRequest.model_fields, "set"} - {"settings"}
    for key in values:
        if key not in known:
            raise unknown("key of a run", key, known)
    if not isinstance(values.get("set", {}), Mapping):
        raise ArgusError(f"set = {values['set']!r} in {config} is not a table; write [set] and below it key = value")
    values["set"] = {**values.get("set", {}), **settings}
    renamed = {"settings" if key == "set" else key: value for key, value in values.items()}
    check_needed(values)
    checked = check_options(RunRequest, renamed, "the run")
    return RunRequest(**checked)


def run_config(
    config: RunConfig, plugins: Plugins, process: Distributed, out: Path | None, accepted: Sequence[str] | None = None
) -> dict[str, Any]:
    """Train, or continue, a resolved run; returns and prints its result rows.

    ``accepted`` are notes of faults of the data, where the caller heeded them already. Raises ArgusError if a head
    failed or was given no score, and DataRefused for data that would make the result wrong.
    """
    check_files(config)
    setting = prepare(config, plugins, process)
    if accepted is None:
        tasks = dict.fromkeys(head.task.name for head in setting.heads.values())
        accepted = heed_run(config.request, setting.train_split, setting.scoring.split, tasks, loud=process.main)
    setting.notes.extend(accepted)
    folder = RunFolder(out or _default_folder(config))
    learners = make_learners(config, setting, process)
    with folder.locked() if process.main else nullcontext():
        return _train(config, setting, learners, folder, process)


def _train(
    config: RunConfig, setting: Setting, learners: Sequence[Learner], folder: RunFolder, process: Distributed
) -> dict[str, Any]:
    began = time.perf_counter()
    record = _record(config, setting, learners, process.size)
    if process.main:
        steps = max(one.steps for one in learners)
        setting.record["hardware"] = folder.open(record, steps, config.request.new_device)
        setting.notes.extend(moves(setting.record["hardware"]))
        setting.plugins.tell("arena_started", run=folder.path, config=record["config"])
    process.barrier()
    reporter: Reporter = ConsoleReporter() if process.main else Reporter()
    for line in (*recipe_lines(setting, learners), *canvas_notices(folder.path, record["config"], setting.record)):
        reporter.say(line)
    loop = Loop(setting, learners, folder, process, reporter)
    try:
        loop.run()
    except Interrupted:
        if process.main:
            print(f"stopped; the state is saved, run the same command to continue in {folder.path}", file=sys.stderr)
        raise KeyboardInterrupt from None
    finally:
        reporter.end()
    loop.finish()
    rows = result_rows(config, setting, loop)
    if process.main:
        _write_rows(rows, folder, setting)
        finished("run folder", folder.path, time.perf_counter() - began)
    failures = undefined(rows, setting.scoring.split.name, setting.notes)
    failures |= {one.name: one.failure for one in learners if one.failure}
    if failures:
        raise HeadsFailed(failures)
    return rows


def _record(config: RunConfig, setting: Setting, learners: Sequence[Learner], processes: int) -> dict[str, Any]:
    """What ``run.json`` says."""
    return {
        "identity": _identity(config, setting, processes),
        "config": config.model_dump(mode="json"),
        "record": setting.record,
        "parameters": {one.name: sum(p.numel() for p in one.head.parameters()) for one in learners},
        "notes": {one.name: one.head.notes() for one in learners},
    }


def _write_rows(rows: Mapping[str, Any], folder: RunFolder, setting: Setting) -> None:
    for name, row in rows.items():
        write_json(folder.result(name), row)
    setting.plugins.tell("arena_finished", run=folder.path, results=rows)
    print_rows(list(rows.values()))


def _identity(config: RunConfig, setting: Setting, processes: int) -> dict[str, Any]:
    """What decides the outcome: not where files lie, but what they hold."""
    request = config.request.model_dump(mode="json", exclude={*FREE, "data", "cache", "weights", "settings"})
    heads = {name: head.model_dump(mode="json", exclude={"file"}) for name, head in config.heads.items()}
    files = [head.file for head in config.heads.values() if head.file]
    texts = {f"text of {Path(file.spec.rpartition(':')[0]).name}": file.sha256[:12] for file in files}
    tokens = setting.record["tokens"]
    return {
        "request": request,
        "heads": heads,
        **texts,
        "processes": processes,
        "data": {key: value for key, value in setting.record["data"].items() if key != "spec"},
        "tokens": {**tokens, "backbone": {**tokens["backbone"], "weights": None}},
    }


def _default_folder(config: RunConfig) -> Path:
    said = config.model_dump(mode="json", exclude={"request": {*FREE, "heads", "settings"}})  # heads has both, resolved
    digest = json_sha256(said)[:8]
    return Path("runs") / f"{'+'.join(config.heads)}-{digest}"
