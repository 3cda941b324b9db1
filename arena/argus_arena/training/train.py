"""One training run, from its request to its result rows."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from argus_arena.distributed import Distributed, Interrupted, join_processes
from argus_arena.hardware import device_changes
from argus_arena.leaderboard.board import print_rows
from argus_arena.requests import RunRequest
from argus_arena.run.config import MUTABLE, RunConfig, check_files, resolve, sized
from argus_arena.run.data_faults import check_run_data, undefined
from argus_arena.run.folder import RunFolder
from argus_arena.run.prepare import PreparedRun, prepare
from argus_arena.run.selection import keys_sha256
from argus_arena.run.sources import RunData, open_run_data
from argus_arena.training.checkpoints import Checkpoints
from argus_arena.training.learner import Learner
from argus_arena.training.loop import Loop, LoopOptions
from argus_arena.training.notices import canvas_notices, recipe_lines
from argus_arena.training.progress import ConsoleReporter, Reporter
from argus_arena.training.result import result_row
from argus_core.common.files import json_sha256, write_json
from argus_core.common.progress import finished
from argus_core.errors import ArgusError
from argus_core.plugins.hooks import Plugins, load_plugins

Rows = dict[str, dict[str, Any]]


class HeadsFailed(ArgusError):
    """Some heads of a run did not come to its end; ``reasons`` by their names. The rows of all are written."""

    def __init__(self, reasons: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{name}: {reason}" for name, reason in reasons.items()))
        self.reasons = reasons


def train_run(request: RunRequest, out: Path | None = None, dry_run: bool = False) -> Rows:
    """Train, or continue, one run; returns and prints its result rows."""
    config = resolve(request)  # first, so that a wrong setting is reported before data are opened
    plugins = open_plugins()
    data = open_run_data(request, plugins)
    config = sized(config, data.images)
    if dry_run:
        print(config.model_dump_json(indent=2))
        return {}
    folder = out or _default_folder(config)
    with join_processes(request.device) as process:
        rows = run_config(config, data, plugins, process, folder)
        if process.main:
            print(f"next: arena report {folder} --out report.html, argus build {folder} --out models/mine")
    return rows


def open_plugins() -> Plugins:
    """The installed plugins; those that cannot be loaded are named on standard error."""
    plugins = load_plugins()
    for name, reason in plugins.failed.items():
        print(f"warning: plugin {name} was left out: {reason}", file=sys.stderr)
    return plugins


def run_config(
    config: RunConfig,
    data: RunData,
    plugins: Plugins,
    process: Distributed,
    out: Path,
    accepted: Sequence[str] | None = None,
) -> Rows:
    """Train, or continue, a resolved run; returns and prints its result rows.

    ``accepted`` are notes of faults of the data, where the caller checked them already. Raises ArgusError if a head
    failed or got no score, and DataRefused for data that would make the result wrong.
    """
    check_files(config)
    run = prepare(config, data, process)
    if accepted is None:
        tasks = dict.fromkeys(head.task.name for head in run.heads.values())
        accepted = check_run_data(data, list(tasks), config.request.accept_faults, loud=process.main)
    learners = make_learners(config, run, process)
    folder = RunFolder(out)
    with folder.locked() if process.main else nullcontext():
        return _train(config, run, learners, folder, plugins, process, accepted)


def make_learners(config: RunConfig, run: PreparedRun, process: Distributed) -> list[Learner]:
    """A learner per head."""
    steps, seed = run.training.order.steps_per_epoch, config.request.seed
    return [Learner(name, head, config.heads[name].recipe, steps, seed, process) for name, head in run.heads.items()]


def _train(
    config: RunConfig,
    run: PreparedRun,
    learners: Sequence[Learner],
    folder: RunFolder,
    plugins: Plugins,
    process: Distributed,
    accepted: Sequence[str],
) -> Rows:
    began, request = time.perf_counter(), config.request
    record = _open_folder(config, run, learners, folder, plugins, process)
    reporter: Reporter = ConsoleReporter() if process.main else Reporter()
    tasks = {head.head.partition(".")[0] for head in config.heads.values()}
    for line in (
        *recipe_lines(request, run, record["tokens"], learners),
        *canvas_notices(folder.path, tasks, record["tokens"]),
    ):
        reporter.say(line)
    steps_per_epoch = run.training.order.steps_per_epoch
    checkpoints = Checkpoints(folder, record, run.heads, steps_per_epoch, process, plugins, reporter, run.selection)
    options = LoopOptions(request.workers, request.eval_every, request.eval_batch, request.save_every)
    loop = Loop(learners, run.training, run.scoring, checkpoints, options)
    _run_loop(loop)
    notes = [*accepted, *device_changes(record["hardware"])]
    rows = _write_rows(loop, record, notes, plugins)
    if process.main:
        finished("run folder", folder.path, time.perf_counter() - began)
    failures = undefined(rows, run.scoring.split.name, notes)
    failures |= {learner.name: learner.failure for learner in learners if learner.failure}
    if failures:
        raise HeadsFailed(failures)
    return rows


def _open_folder(
    config: RunConfig,
    run: PreparedRun,
    learners: Sequence[Learner],
    folder: RunFolder,
    plugins: Plugins,
    process: Distributed,
) -> dict[str, Any]:
    """Claim the folder and write ``run.json``; returns the record with all hardware that the run was computed on."""
    record, hardware = run.record, run.record["hardware"]
    if process.main:
        description = {
            "identity": _identity(config, run, process.size),
            "config": config.model_dump(mode="json"),
            "record": record,
            "parameters": {learner.name: sum(p.numel() for p in learner.head.parameters()) for learner in learners},
            "notes": {learner.name: learner.head.notes() for learner in learners},
        }
        steps = max(learner.steps for learner in learners)
        hardware = folder.open(description, steps, config.request.new_device)
        plugins.tell("arena_started", run=folder.path, config=description["config"])
    process.barrier()
    return {**record, "hardware": hardware}


def _run_loop(loop: Loop) -> None:
    try:
        loop.run()
        loop.finish()
    except Interrupted:
        if loop.process.main:
            path = loop.folder.path
            print(f"stopped; the state is saved, run the same command to continue in {path}", file=sys.stderr)
        raise KeyboardInterrupt from None
    finally:
        loop.reporter.end()


def _write_rows(loop: Loop, record: Mapping[str, Any], notes: Sequence[str], plugins: Plugins) -> Rows:
    """Write and print the rows of all heads that were scored."""
    scores = loop.checkpoints.scores
    rows = {
        learner.name: result_row(learner, scores[learner.name], loop.scoring, loop.read_seconds, record, notes)
        for learner in loop.learners
        if "reported" in scores[learner.name]
    }
    if loop.process.main:
        for name, row in rows.items():
            write_json(loop.folder.result(name), row)
        plugins.tell("arena_finished", run=loop.folder.path, results=rows)
        print_rows([{**row, "path": str(loop.folder.result(name))} for name, row in rows.items()])
    return rows


def _identity(config: RunConfig, run: PreparedRun, processes: int) -> dict[str, Any]:
    """What decides the outcome: not where files lie, but what they hold."""
    files = [head.file for head in config.heads.values() if head.file]
    tokens, selection = run.record["tokens"], run.selection
    apart = {*MUTABLE, "data", "cache", "weights", "settings", "init"}
    return {
        "request": config.request.model_dump(mode="json", exclude=apart),
        "heads": {name: head.model_dump(mode="json", exclude={"file"}) for name, head in config.heads.items()},
        **{f"text of {Path(file.spec.rpartition(':')[0]).name}": file.sha256[:12] for file in files},
        "processes": processes,
        "data": {key: value for key, value in run.record["data"].items() if key != "spec"},
        "selection images": keys_sha256(selection.split, selection.images) if selection and selection.images else None,
        "tokens": {**tokens, "backbone": {**tokens["backbone"], "weights": None}},
    }


def _default_folder(config: RunConfig) -> Path:
    resolved = config.model_dump(mode="json", exclude={"request": {*MUTABLE, "heads", "settings", "init"}})
    return Path("runs") / f"{'+'.join(config.heads)}-{json_sha256(resolved)[:8]}"
