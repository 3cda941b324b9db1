"""The loop on real tokens: results do not depend on company, interruptions or the number of processes."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from filelock import FileLock

from arena_help import settings, train_run
from argus_arena.requests import CacheRequest, make_request
from argus_arena.run.config import resolve
from argus_arena.scoring.rules import check_task
from argus_arena.tools.cache import build_cache
from argus_arena.training.learner import Learner
from argus_core import register
from argus_core.common.tensors import tensors_sha256
from argus_core.errors import ArgusError
from argus_core.registry import HEADS
from argus_core.saving.checkpoint import read_tensors
from argus_core.tasks.classify import Classify
from argus_heads.fcos_detect import FCOS

DATA = "scenes:images=36,val=6,size=64"
SELECTION = "0.45"
"""16 of the images, the fewest that choices are made on."""
STAGE = {"epochs": 1, "lr": 0.01, "only": ["cls_project", "cls_bias", "logit_scale"]}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("arena") / "cache"
    build_cache(CacheRequest(data=DATA, out=out, backbone="tiny", canvas="64", views=("id", "hflip")))
    return out


def run(cache: Path, out: Path, *heads: str, **more: object) -> dict:
    request = {key: more.pop(key) for key in ("save_every", "eval_every") if key in more}
    given = {"heads": heads, "data": DATA, "cache": str(cache), "selection": SELECTION, **request}
    return train_run(given, settings(*heads, **more), out)


def digest(out: Path, head: str, which: str = "last") -> str:
    return tensors_sha256(read_tensors(out / head / f"{which}.safetensors")[1])


@pytest.fixture(scope="module")
def alone(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, dict]]:
    """Head to the folder and row of its undisturbed run; nothing may be written there."""
    root = tmp_path_factory.mktemp("alone")
    return {head: (root / head, run(cache, root / head, head)[head]) for head in ("fcos", "split_tower")}


def test_heads_side_by_side_end_as_alone(cache, alone, tmp_path):
    both = run(cache, tmp_path / "both", "fcos", "split_tower")
    for head, (out, row) in alone.items():
        assert row["weights_sha256"] == both[head]["weights_sha256"]
        assert row["metrics"] == both[head]["metrics"]
        assert digest(out, head, "best") == digest(tmp_path / "both", head, "best")


def test_same_seed_same_weights_other_seed_others(cache, tmp_path):
    given = {"heads": ("fcos",), "data": DATA, "cache": str(cache)}
    hashes = [
        train_run({**given, "seed": seed}, settings("fcos", epochs=1), tmp_path / str(n))["fcos"]["weights_sha256"]
        for n, seed in enumerate((0, 0, 1))
    ]
    assert hashes[0] == hashes[1] != hashes[2]


def kill_and_finish(forked, cache: Path, out: Path, after: float, how: signal.Signals) -> None:
    process = forked.Process(target=run, args=(cache, out, "split_tower"))
    process.start()
    deadline = time.monotonic() + 120
    log = out / "log.jsonl"
    while process.is_alive() and time.monotonic() < deadline and not log.exists():
        time.sleep(0.01)
    time.sleep(after)
    os.kill(process.pid, how)
    process.join()


@pytest.mark.parametrize(("after", "how"), [(0.05, signal.SIGKILL), (0.6, signal.SIGKILL), (0.3, signal.SIGINT)])
def test_a_killed_run_ends_with_the_same_weights(forked, cache, alone, tmp_path, after, how):
    folder, whole = alone["split_tower"]
    kill_and_finish(forked, cache, tmp_path / "killed", after, how)
    resumed = run(cache, tmp_path / "killed", "split_tower")["split_tower"]
    assert resumed["weights_sha256"] == whole["weights_sha256"]
    assert resumed["metrics"] == whole["metrics"]
    assert digest(tmp_path / "killed", "split_tower", "best") == digest(folder, "split_tower", "best")
    steps = [json.loads(line) for line in (tmp_path / "killed" / "log.jsonl").read_text().splitlines()]
    whole_steps = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert steps == whole_steps


def test_a_stage_trains_only_what_it_names_from_the_best_weights(cache, alone, tmp_path):
    folder, main = alone["split_tower"]
    run(cache, tmp_path / "staged", "split_tower", epochs=5, stages=[STAGE])
    best = read_tensors(folder / "split_tower" / "best.safetensors")[1]
    last = read_tensors(tmp_path / "staged" / "split_tower" / "last.safetensors")[1]
    changed = {key for key in best if not best[key].equal(last[key])}
    assert changed
    assert all({"cls_project", "cls_bias", "logit_scale"} & set(key.split(".")) for key in changed), changed
    assert main["selected"]["candidates"] == 8 and main["selected"]["split"] == "train"


STAGED = {"epochs": 4, "stages": [STAGE], "save_every": 4, "eval_every": 0.4}  # the stage starts at step 15


@pytest.fixture(scope="module")
def staged(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an undisturbed run with a stage."""
    out = tmp_path_factory.mktemp("staged") / "run"
    run(cache, out, "split_tower", **STAGED)
    return out


@pytest.mark.parametrize("crash", [12, 14, 15, 16, 18])
def test_a_crash_around_a_stage_changes_nothing(cache, staged, tmp_path, monkeypatch, crash):
    step = Learner.step

    def crashing(self, at, tokens, targets):
        if at == crash:
            raise RuntimeError("power cut")
        return step(self, at, tokens, targets)

    monkeypatch.setattr(Learner, "step", crashing)
    with pytest.raises(ArgusError, match="power cut"):
        run(cache, tmp_path / "cut", "split_tower", **STAGED)
    monkeypatch.undo()
    run(cache, tmp_path / "cut", "split_tower", **STAGED)
    for which in ("best", "last"):
        assert digest(tmp_path / "cut", "split_tower", which) == digest(staged, "split_tower", which)
    assert (tmp_path / "cut" / "log.jsonl").read_text() == (staged / "log.jsonl").read_text()


def _rank(rank: int, cache: str, folder: str) -> None:
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2"}  # as torchrun sets them
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    run(Path(cache), Path(folder, "two"), "fcos")


def test_two_processes_stay_in_step_and_count_every_image_once(forked, cache, alone, tmp_path):
    mp.start_processes(_rank, (str(cache), str(tmp_path)), nprocs=2, start_method=forked.get_start_method())
    two = json.loads((tmp_path / "two" / "fcos" / "result.json").read_text())
    folder, one = alone["fcos"]
    assert two["steps"] == one["steps"]
    losses = [
        [r["loss"] for r in map(json.loads, (out / "log.jsonl").read_text().splitlines()) if "loss" in r]
        for out in (folder, tmp_path / "two")
    ]
    assert losses[0][0] == pytest.approx(losses[1][0], rel=0.35)  # a rank's own half of the first batch


def test_settings_reach_their_head_and_wrong_ones_are_refused(tmp_path):
    request = make_request({"heads": ("fcos", "b=fcos"), "data": DATA, "settings": {"width": 64, "b.lr": 0.5}})
    config = resolve(request)
    assert [config.heads[n].options["width"] for n in ("fcos", "b")] == [64, 64]
    assert [config.heads[n].recipe.lr for n in ("fcos", "b")] == [1e-3, 0.5]
    full = {"detect.fcos.width": 32, "b.width": 16}
    config = resolve(make_request({"heads": ("fcos", "b=fcos"), "data": DATA, "settings": full}))
    assert [config.heads[n].options["width"] for n in ("fcos", "b")] == [32, 16]
    for wrong, hint in (({"widht": 1}, "width"), ({"b.epoch": 1}, "epochs"), ({"lr": "fast"}, "lr")):
        with pytest.raises(ArgusError, match=hint):
            resolve(make_request({"heads": ("fcos", "b=fcos"), "data": DATA, "settings": wrong}))


def test_a_configuration_file_means_what_the_command_line_means(tmp_path):
    file = tmp_path / "run.toml"
    file.write_text(f'heads = ["fcos"]\ndata = "{DATA}"\n[set]\nepochs = 3\n[set.fcos]\nwidth = 32\n')
    config = resolve(make_request({"settings": {"epochs": 5}}, file))
    assert config.heads["fcos"].recipe.epochs == 5
    assert config.heads["fcos"].options["width"] == 32
    file.write_text('heads = ["fcos"]\ndatum = "x"\n')
    with pytest.raises(ArgusError, match="did you mean 'data'"):
        make_request({}, file)


def test_another_runs_folder_is_refused_by_the_name_of_what_differs(cache, tmp_path):
    run(cache, tmp_path / "run", "fcos", epochs=1)
    with pytest.raises(ArgusError, match=r"recipe\.lr"):
        run(cache, tmp_path / "run", "fcos", epochs=1, lr=0.5)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(ArgusError, match="not empty"):
        run(cache, tmp_path / "mine", "fcos", epochs=1)


def test_a_folder_that_another_process_trains_in_is_refused(cache, tmp_path):
    (tmp_path / "run").mkdir()
    with (
        FileLock(tmp_path / "run" / "run.lock"),
        pytest.raises(ArgusError, match=f"another process is training in {tmp_path / 'run'}"),
    ):
        run(cache, tmp_path / "run", "fcos", epochs=1)
    assert not (tmp_path / "run" / "run.json").exists()
    assert run(cache, tmp_path / "run", "fcos", epochs=1)["fcos"]["steps"] == 9  # scored once, so trained on all images


def test_a_head_for_other_classes_is_told_by_counts_and_three_names():
    task, other = (Classify(classes=tuple(f"{word}{n}" for n in range(20))) for word in ("a", "b"))
    head, split = SimpleNamespace(name="classify.linear", task=task), SimpleNamespace(name="val")
    split.tasks = {"classify": other}
    with pytest.raises(
        ArgusError, match=r"20 classes of the head, 20 of .* differing in 20 places \(0: a0 and b0,"
    ) as told:
        check_task(head, split)
    assert "b2" in str(told.value) and "b3" not in str(told.value)
    split.tasks = {"classify": Classify(classes=(*task.classes, "more"))}
    with pytest.raises(ArgusError, match=r"20 classes of the head, 21 of .* in 1 place \(20: nothing and more"):
        check_task(head, split)
    split.tasks = {"classify": task}
    check_task(head, split)


def test_a_diverged_head_is_named_and_does_not_stop_the_other(cache, tmp_path):
    with pytest.raises(ArgusError, match="bad: the loss became"):
        given = {"heads": ("bad=fcos", "good=fcos"), "data": DATA, "cache": str(cache), "selection": SELECTION}
        more = {"epochs": 2, "batch": 4, "width": 32, "depth": 1, "bad.lr": 1e30, "bad.clip": 0}
        train_run(given, more, tmp_path / "run")
    assert (tmp_path / "run" / "good" / "result.json").exists()
    assert not (tmp_path / "run" / "bad" / "result.json").exists()


class Raises(FCOS):
    """Works for a step, then not."""

    def forward(self, features):
        self.calls = getattr(self, "calls", 0) + 1
        if self.calls > 1:
            sys.exit(0)
        return super().forward(features)


def test_a_head_whose_code_fails_is_named_and_does_not_stop_the_other(cache, tmp_path):
    register("detect.raises", Raises)
    try:
        with pytest.raises(ArgusError, match=r"raises: step 1: SystemExit: sys.exit\(0\) at .*py:\d+; "):
            given = {"heads": ("raises", "fcos"), "data": DATA, "cache": str(cache)}
            train_run(given, {"epochs": 1, "batch": 4, "width": 32, "depth": 1}, tmp_path / "run")
    finally:
        HEADS.unregister("detect.raises")
    assert (tmp_path / "run" / "fcos" / "result.json").exists()
    assert not (tmp_path / "run" / "raises" / "result.json").exists()
