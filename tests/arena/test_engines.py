"""Cells in this process and in others: each with its outcome, lost ones again, and nothing left running."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import deque
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from argus_arena.engines.cells import Cell, Outcome, attempt
from argus_arena.engines.engine import Local, Remote
from argus_arena.engines.find import find_engine
from argus_arena.engines.site import JOBS, Site, attempt_at
from argus_core.errors import ArgusError
from argus_core.plugins.files import register_file
from argus_core.registry import HEADS


def work(text: str, folder: str) -> str:
    """What a cell of these tests does, by a word."""
    if text == "refuse":
        raise ArgusError("this is not possible; do that")
    if text == "break":
        raise ValueError("broken")
    if text == "leave":
        sys.exit(3)
    if text == "die once" and not (Path(folder) / "died").exists():
        (Path(folder) / "died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if text == "out of time" and not (Path(folder) / "stopped").exists():
        (Path(folder) / "stopped").touch()
        os.kill(os.getpid(), signal.SIGUSR2)
        time.sleep(5)
    if text == "sleep":
        (Path(folder) / "asleep").touch()
        time.sleep(60)
    return f"{text} by {os.getpid()} in {os.getcwd()}"


def cells(*texts, folder="."):
    return deque(Cell(text, work, (text, str(folder))) for text in texts)


class Fake(Remote[str]):
    """Workers that finish in the order they were started, two at a time; those of some cells are lost."""

    def __init__(self, out: Path, lost: dict[str, int], parallel: int = 0, retries: int = 1) -> None:
        super().__init__(out, parallel, retries)
        self.lost, self.jobs, self.most, self.stopped = lost, {}, 0, []

    def _start(self, cells):
        names = [f"{cell.name} {len(self.jobs) + n}" for n, cell in enumerate(cells)]
        self.jobs |= dict(zip(names, cells, strict=True))
        return names

    def _finished(self, jobs):
        self.most = max(self.most, len(jobs))
        return jobs[:2]

    def _outcome(self, job):
        cell = self.jobs[job]
        if self.lost.get(cell.name, 0) > 0:
            self.lost[cell.name] -= 1
            return Outcome(failure="gone", lost=True)
        return attempt_at(self.site, cell)

    def _stop(self, jobs):
        self.stopped = jobs


def test_an_error_of_a_cell_is_its_outcome_in_words(tmp_path):
    with Local(tmp_path) as engine:
        outcomes = {cell.name: outcome for cell, outcome in engine.run(cells("a", "refuse", "break", "leave"))}
    assert outcomes["a"].value.startswith("a by ") and not outcomes["a"].failure
    assert outcomes["refuse"] == Outcome(failure="this is not possible; do that")
    assert outcomes["break"].failure.startswith("ValueError: broken") and not outcomes["break"].lost
    assert "sys.exit(3)" in outcomes["leave"].failure


def test_debugging_shows_the_error_itself(monkeypatch):
    monkeypatch.setenv("ARGUS_DEBUG", "1")
    with pytest.raises(ValueError, match="broken"):
        attempt(cells("break")[0])


def test_cells_that_are_added_come_next_on_one_worker(tmp_path):
    todo, seen = cells("a", "b"), []
    with Local(tmp_path) as engine:
        for cell, _ in engine.run(todo):
            seen.append(cell.name)
            if cell.name == "a":
                todo.extendleft(cells("a1"))
    assert seen == ["a", "a1", "b"]


def test_a_lost_worker_costs_its_cell_only_and_not_for_ever(tmp_path, capsys):
    with Fake(tmp_path, {"b": 1, "c": 5}, retries=2) as engine:
        outcomes = {cell.name: outcome for cell, outcome in engine.run(cells("a", "b", "c", "d"))}
    assert all(outcomes[name].value for name in "abd") and set(outcomes) == set("abcd")
    assert outcomes["c"] == Outcome(failure="gone", lost=True)
    told = capsys.readouterr().err
    assert "b: gone; it is started again, 1 of 2 times" in told and "c: gone; it is started again, 2 of 2" in told
    assert engine.stopped == []


def test_no_more_run_at_once_than_was_asked_for(tmp_path):
    with Fake(tmp_path, {}, parallel=2) as engine:
        assert len(list(engine.run(cells(*"abcdefg")))) == 7
    assert engine.most == 2


def test_whatever_runs_is_stopped_when_the_command_ends(tmp_path, capsys):
    with pytest.raises(KeyboardInterrupt), Fake(tmp_path, {}) as engine:
        for _ in engine.run(cells("a", "b", "c", "d")):
            raise KeyboardInterrupt
    assert [job.split()[0] for job in engine.stopped] == ["b", "c", "d"]
    assert "stopping" in capsys.readouterr().err


def test_a_worker_that_has_not_the_folder_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    site = Site.of(Path("out"))
    assert Site.of(Path("out")) == site
    assert attempt_at(site, cells("a")[0]).value.endswith(f"in {tmp_path}")
    elsewhere = attempt_at(replace(site, token="of another machine"), cells("a")[0])
    assert "has not the same" in elsewhere.failure and str(tmp_path / "out") in elsewhere.failure
    site.mark.unlink()
    assert "one folder that all of them see" in attempt_at(site, cells("a")[0]).failure


def test_a_worker_knows_the_settings_and_the_files_of_the_command(tmp_path, monkeypatch):
    monkeypatch.setenv("ARGUS_OFFLINE", "1")
    (tmp_path / "mine.py").write_text(
        "from argus_core import Head, Classify\n\n\nclass Mine(Head):\n    solves = Classify\n\n"
        "    def __init__(self, info, task):\n        super().__init__(info, task)\n\n"
        "    def forward(self, features):\n        return features\n"
    )
    name = register_file(f"{tmp_path / 'mine.py'}:Mine")
    try:
        site = Site.of(tmp_path / "out")
    finally:
        HEADS.unregister(name)
    assert site.environment["ARGUS_OFFLINE"] == "1"
    monkeypatch.delenv("ARGUS_OFFLINE")
    monkeypatch.chdir(tmp_path)
    site.enter()
    assert HEADS.find(name).name == name and os.environ["ARGUS_OFFLINE"] == "1"
    HEADS.unregister(name)


def test_what_is_wrong_with_an_engine_is_told_before_anything_is_written(tmp_path, monkeypatch):
    with pytest.raises(ArgusError, match="unknown option of engine 'slurm' 'partitoin'; did you mean 'partition'"):
        find_engine("slurm", {"partitoin": "gpu"}, tmp_path / "out")
    with pytest.raises(ArgusError, match="time = 'long'"):
        find_engine("slurm", {"time": "long"}, tmp_path / "out")
    for option in ("time", "cpus", "gpus", "memory", "parallel", "retries"):
        with pytest.raises(ArgusError, match=rf"{option} = -1.*greater than"):
            find_engine("slurm", {option: -1}, tmp_path / "out")
    for name, module in (("slurm", "submitit"), ("ray", "ray")):
        monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(ArgusError, match=rf"pip install 'argus-perception\[{name}\]'"):
            find_engine(name, {}, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_address_where_no_cluster_answers_is_told_at_once(tmp_path, monkeypatch):
    ray = ModuleType("ray")
    ray.exceptions = SimpleNamespace(RayError=RuntimeError)
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "1")
    with pytest.raises(ArgusError, match=r"no Ray cluster can be used at RAY_ADDRESS=127.0.0.1:1: .*refused"):
        find_engine("ray", {}, tmp_path / "out").__enter__()
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0" and not (tmp_path / "out").exists()


def test_without_a_cluster_nothing_can_be_submitted(tmp_path, monkeypatch):
    pytest.importorskip("submitit", reason="needs the extra slurm")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ArgusError, match="no jobs can be submitted from here: Could not detect"):
        find_engine("slurm", {}, tmp_path / "out").__enter__()


SBATCH = r"""
script=$(cat "$1")
last=$(echo "$script" | sed -n 's/^#SBATCH --array=0-\([0-9]*\).*/\1/p')
for task in $(seq 0 $last); do
    SLURM_JOB_ID=$$ SLURM_ARRAY_JOB_ID=$$ SLURM_ARRAY_TASK_ID=$task sh -c "$script" > /dev/null 2>&1 &
done
echo "Submitted batch job $$"
"""
SRUN = """
while [ "${1#-}" != "$1" ]; do
    case $1 in --output | --error) shift 2 ;; *) shift ;; esac
done
exec "$@"
"""


def stand_in(folder: Path, monkeypatch: pytest.MonkeyPatch, sbatch: str) -> None:
    """Programs in the place of SLURM's: tasks of an array are processes, and nobody knows what became of jobs."""
    for name, script in (("sbatch", sbatch), ("srun", SRUN), ("sacct", ""), ("scancel", "")):
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def test_what_sbatch_says_is_told(tmp_path, monkeypatch):
    pytest.importorskip("submitit", reason="needs the extra slurm")
    stand_in(tmp_path, monkeypatch, "echo 'sbatch: error: invalid partition specified: gpuu' >&2; exit 1")
    refused = pytest.raises(ArgusError, match=r"sbatch refused 2 jobs: .*invalid partition specified: gpuu")
    with refused, find_engine("slurm", {"partition": "gpuu"}, tmp_path / "out") as engine:
        list(engine.run(cells("a", "b")))
    (script,) = (tmp_path / "out" / JOBS).glob("*.sh")
    assert "#SBATCH --partition=gpuu\n" in script.read_text() and "#SBATCH --array=0-1" in script.read_text()


def test_jobs_of_an_array(tmp_path, monkeypatch):
    pytest.importorskip("submitit", reason="needs the extra slurm")
    stand_in(tmp_path, monkeypatch, SBATCH)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (Path(__file__).parent, Path(__file__).parents[1]))))
    monkeypatch.chdir(tmp_path)
    with find_engine("slurm", {"time": 5, "cpus": 1}, tmp_path / "out") as engine:
        outcomes = {cell.name: outcome for cell, outcome in engine.run(cells("a", "refuse", "b", folder=tmp_path))}
    assert outcomes["a"].value.endswith(f"in {tmp_path}") and outcomes["b"].value
    assert outcomes["refuse"] == Outcome(failure="this is not possible; do that")
    assert len(list((tmp_path / "out" / JOBS).glob("*_1_0_result.pkl"))) == 1


def test_jobs_of_submitit(tmp_path, monkeypatch, capsys):
    submitit = pytest.importorskip("submitit", reason="needs the extra slurm")
    monkeypatch.setattr(submitit.Job, "_results_timeout_s", 0)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (Path(__file__).parent, Path(__file__).parents[1]))))
    monkeypatch.chdir(tmp_path)
    with find_engine("slurm", {"cluster": "local", "retries": 1}, tmp_path / "out") as engine:
        todo = cells("a", "refuse", "die once", "out of time", folder=tmp_path)
        outcomes = {cell.name: outcome for cell, outcome in engine.run(todo)}
    assert outcomes["a"].value.endswith(f"in {tmp_path}") and f"by {os.getpid()} " not in outcomes["a"].value
    assert outcomes["refuse"] == Outcome(failure="this is not possible; do that")
    assert outcomes["die once"].value and outcomes["out of time"].value
    told = capsys.readouterr().err
    assert "die once: job " in told and "ended without a result" in told and "out of time: its job was stopped" in told
    assert list((tmp_path / "out" / JOBS).glob("*_log.err"))


def test_jobs_end_with_the_command(tmp_path, monkeypatch):
    pytest.importorskip("submitit", reason="needs the extra slurm")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (Path(__file__).parent, Path(__file__).parents[1]))))
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt), find_engine("slurm", {"cluster": "local"}, tmp_path / "out") as engine:
        for _ in engine.run(cells("a", "sleep", folder=tmp_path)):
            while not (tmp_path / "asleep").exists() and time.monotonic() < began + 50:
                time.sleep(0.1)
            raise KeyboardInterrupt
    assert (tmp_path / "asleep").exists() and time.monotonic() < began + 50
