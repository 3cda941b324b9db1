"""A comparison in cells: its board grows, what is finished is not trained again, and workers give the same weights."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest

from arena_help import DATA, small_cache
from argus_arena.comparison.compare import compare_heads
from argus_arena.comparison.comparing import Comparing
from argus_arena.comparison.opened import close, open_once
from argus_arena.engines.cells import Cell, attempt
from argus_arena.requests import CacheRequest, Comparison, make_request
from argus_arena.run.lock import locked
from argus_arena.tools.cache_cells import cache_cells, write_caches
from argus_core.common.files import file_sha256
from argus_core.errors import ArgusError

SETTINGS = {"batch": 4, "epochs": 2, "fcos.width": 16, "fcos.depth": 1}
FRAIL = """
import os, signal
from pathlib import Path
from argus_heads.fcos_detect import FCOS


class Frail(FCOS):
    steps = 0

    def loss(self, output, targets):
        Frail.steps += self.training
        mark = Path(os.environ.get("FRAIL", ""))
        if Frail.steps == 7 and mark.name and not mark.exists():  # in the second epoch: the trial step counts too
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().loss(output, targets)
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return small_cache(tmp_path_factory.mktemp("cells") / "cache")


def asked(cache, *heads, **more):
    given = {"data": DATA, "cache": str(cache), "eval_every": 1.0, "device": "cpu", "settings": SETTINGS}
    return make_request({**given, "heads": heads or ("fcos",), **more})


def weights(out: Path) -> dict[str, str]:
    """Digests of the best and the last weights of every head, by file."""
    return {str(file.relative_to(out)): file_sha256(file) for file in sorted(out.glob("seed*/group*/*/*.safetensors"))}


def test_the_board_grows_by_the_cell_and_finished_cells_are_not_run_again(cache, tmp_path):
    out = tmp_path / "out"
    comparing = Comparing(asked(cache), Comparison(out=out, seeds=2, memory=0.001))
    (plan,) = comparing.begin()
    cells, _ = comparing.after(plan, attempt(plan))
    assert [cell.name for cell in cells] == [f"seed{seed}/group{group}" for seed in (0, 1) for group in (0, 1)]
    more, note = comparing.after(cells[0], attempt(cells[0]))
    assert more == [] and note == "seed0/group0 (fcos)" and not comparing.over
    ranked = [row["name"] for row in json.loads((out / "leaderboard.json").read_text())]
    assert ranked == ["fcos"] and (out / "leaderboard.csv").exists() and (out / "leaderboard.md").exists()

    before = (out / "seed0/group0/fcos/result.json").stat().st_mtime_ns
    entries, failures = compare_heads(asked(cache), Comparison(out=out, seeds=2, memory=0.001))
    assert failures == {} and {len(entry.rows) for entry in entries} == {2}
    assert (out / "seed0/group0/fcos/result.json").stat().st_mtime_ns == before
    assert sorted(json.loads((out / "cells.json").read_text())) == sorted(cell.name for cell in cells)


def test_a_cell_that_failed_is_tried_again_and_one_whose_run_was_removed_too(cache, tmp_path):
    out = tmp_path / "out"
    (out / "seed0" / "group0").mkdir(parents=True)
    stranger = out / "seed0" / "group0" / "notes.txt"
    stranger.write_text("mine")
    comparing = Comparing(asked(cache), Comparison(out=tmp_path / "plan", memory=0.001))
    with pytest.raises(ArgusError, match="is not empty and holds no comparison"):
        Comparing(asked(cache), Comparison(out=out, memory=0.001))
    assert attempt(comparing.begin()[0]).value
    (tmp_path / "plan" / "compare.json").rename(out / "compare.json")
    _, failures = compare_heads(asked(cache), Comparison(out=out, memory=0.001))
    assert list(failures) == ["seed0/fcos"] and "is not empty and holds no run" in failures["seed0/fcos"]
    stranger.unlink()
    _, failures = compare_heads(asked(cache), Comparison(out=out, memory=0.001))
    assert failures == {}
    shutil.rmtree(out / "seed0" / "group0")
    compare_heads(asked(cache), Comparison(out=out, memory=0.001))
    assert (out / "seed0" / "group0" / "fcos" / "result.json").exists()


def test_a_run_that_another_process_has_is_waited_for_only_as_long_as_was_said(cache, tmp_path):
    out, request = tmp_path / "out", asked(cache, "analytic_person", settings={})
    (plan,) = (comparing := Comparing(request, Comparison(out=out))).begin()
    ((cell,), _) = comparing.after(plan, attempt(plan))
    with locked(out / "seed0" / "group0"):
        assert "another process is training in" in attempt(cell).failure
        patient = Cell(cell.name, cell.work, (*cell.arguments[:-1], 0.1))
        assert "another process is training in" in attempt(patient).failure
    waiting = Cell(cell.name, cell.work, (*cell.arguments[:-1], 60.0))
    with ExitStack() as held:
        held.enter_context(locked(out / "seed0" / "group0"))
        release = threading.Timer(1.0, held.close)
        release.start()
        assert attempt(waiting).value == {}
        release.join()


def test_a_comparison_on_other_tokens_is_refused_even_when_all_of_it_is_finished(cache, tmp_path):
    out = tmp_path / "out"
    compare_heads(asked(cache, "analytic_person", settings={}), Comparison(out=out))
    other = small_cache(tmp_path / "other")
    plan = json.loads((out / "compare.json").read_text())
    (out / "compare.json").write_text(json.dumps({**plan, "tokens": ["other", "tokens"]}))
    with pytest.raises(ArgusError, match=r"is of another comparison: config\.request\.cache .*; choose another --out"):
        compare_heads(asked(other, "analytic_person", settings={}), Comparison(out=out))


def test_data_are_opened_once_a_process(cache):
    close()
    opened = open_once(asked(cache))
    assert open_once(asked(cache, "split_tower", settings={}, seed=3)) is opened
    assert open_once(asked(cache, val_split="train")) is not opened
    close()


def test_parts_of_a_cache_are_cells_that_say_which_they_are(tmp_path):
    request = CacheRequest(data=DATA, out=tmp_path, parts=3, engine="slurm", engine_options={"time": 5})
    cells = cache_cells(request, "pets/")
    assert [cell.name for cell in cells] == ["pets/cache 1/3", "pets/cache 2/3", "pets/cache 3/3"]
    assert [cell.arguments[0].part for cell in cells] == ["1/3", "2/3", "3/3"]
    assert {cell.arguments[0].engine for cell in cells} == {"local"}
    assert cache_cells(request.model_copy(update={"parts": None}))[0].arguments[0].part == "1/1"


def test_shares_that_nobody_would_take_are_refused(tmp_path):
    given = {"data": DATA, "out": tmp_path / "out", "backbone": "tiny"}
    for wrong in ({"parts": 2}, {"engine_options": {"gpus": 1}}, {"part": "1/2", "engine": "slurm"}):
        with pytest.raises(ArgusError, match="--part"):
            write_caches(CacheRequest(**given, **wrong))
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_jobs_write_the_cache_of_one_process(cache, tmp_path):
    pytest.importorskip("submitit", reason="needs the extra slurm")
    given = {"data": DATA, "backbone": "tiny", "canvas": "64", "views": ("id", "hflip")}
    jobs = CacheRequest(**given, out=tmp_path, parts=2, engine="slurm", engine_options={"cluster": "local"})
    write_caches(jobs)
    written = {file.relative_to(cache): file_sha256(file) for file in sorted(cache.rglob("*.safetensors"))}
    assert written == {file: file_sha256(tmp_path / file) for file in written}
    write_caches(CacheRequest(**given, out=tmp_path))  # the folder of the jobs is no stranger in it


def on_engine(cache: Path, folder: Path, out: str, *options: str, **environment: str) -> subprocess.CompletedProcess:
    heads = ["--head", "fcos", "--head", f"{folder / 'frail.py'}:Frail"]
    settings = ["--set", "batch=4", "--set", "epochs=2", "--set", "width=16", "--set", "depth=1"]
    line = [*heads, *settings, "--data", DATA, "--cache", str(cache), "--memory", "0.001", "--device", "cpu"]
    command = [sys.executable, "-m", "argus_arena", "compare", *line, "--out", out, *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def whole(cache, tmp_path_factory) -> Path:
    """A folder with a head that can be killed, and in ``whole`` a comparison of it in one process."""
    folder = tmp_path_factory.mktemp("engines")
    (folder / "frail.py").write_text(FRAIL)
    done = on_engine(cache, folder, "whole")
    assert done.returncode == 0, done.stderr
    return folder


def compared(cache: Path, folder: Path, engine: str, *options: str) -> None:
    """On an engine, one of whose workers is killed in the middle of a training, as in one process."""
    killed = folder / f"killed-{engine}"
    done = on_engine(cache, folder, engine, "--engine", engine, *options, FRAIL=str(killed))
    assert done.returncode == 0, done.stderr
    assert killed.exists() and "it is started again, 1 of 3 times" in done.stderr
    own = weights(folder / "whole")
    assert own and weights(folder / engine) == own


@pytest.mark.slow
def test_on_submitit_a_killed_job_changes_no_weight(cache, whole):
    pytest.importorskip("submitit", reason="needs the extra slurm")
    compared(cache, whole, "slurm", "--engine-set", "cluster=local")


@pytest.mark.slow
def test_on_ray_a_killed_worker_changes_no_weight(cache, whole):
    pytest.importorskip("ray", reason="needs the extra ray")
    compared(cache, whole, "ray", "--engine-set", "cpus=1")
