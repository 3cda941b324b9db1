"""Runs whose heads start from a solution: scored there, continued after a kill, refused where there is none."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from arena_help import train_run
from argus_arena.cli import main
from argus_arena.requests import CacheRequest, make_request
from argus_arena.run.config import resolve
from argus_arena.tools.cache import build_cache
from argus_arena.training.loop import Loop
from argus_core.common.tensors import tensors_sha256
from argus_core.errors import ArgusError
from argus_core.saving.checkpoint import read_tensors

DATA = "scenes:images=36,val=6,size=64"
HEADS = ("classify.linear", "segment.linear", "depth.linear")
RUN = {"heads": ("segment.linear",), "data": DATA, "init": "ridge", "selection": "0.45"}
RECIPE = {"epochs": 2, "batch": 4, "lr": 1e-3}


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    out = tmp_path_factory.mktemp("cache") / "scenes"
    build_cache(CacheRequest(data=DATA, out=out, backbone="tiny", canvas="64"))
    return str(out)


def train(cache: str, out: str, die_at: int | None = None) -> None:
    if die_at is not None:
        going = Loop._train

        def step(self, step, *batch):
            if step == die_at:
                os._exit(9)  # as a kill does: nothing is tidied up
            going(self, step, *batch)

        Loop._train = step
    train_run({**RUN, "cache": cache}, RECIPE, Path(out))


def outcome(out: Path):
    """The digests of all weights, and the log."""
    digests = {str(f.relative_to(out)): tensors_sha256(read_tensors(f)[1]) for f in out.glob("*/*.safetensors")}
    return digests, (out / "log.jsonl").read_text().splitlines()


@pytest.mark.slow
def test_a_run_is_scored_where_it_starts_and_ends_alike_after_a_kill(cache, forked, tmp_path):
    train(cache, str(tmp_path / "whole"))
    first = json.loads(outcome(tmp_path / "whole")[1][0])
    assert first["step"] == 0 and first["eval"]["mIoU"] > 0.1 and first["split"] == "train"
    for step in (0, 7):  # right after the fit, and in the second epoch
        out = tmp_path / f"killed{step}"
        process = forked.Process(target=train, args=(cache, str(out), step))
        process.start()
        process.join()
        assert process.exitcode == 9 and not (out / "linear" / "last.safetensors").exists()
        train(cache, str(out))
        assert outcome(out) == outcome(tmp_path / "whole")


def test_the_start_is_kept_where_training_makes_it_worse(cache, tmp_path):
    row = train_run({**RUN, "cache": cache}, {**RECIPE, "lr": 1e3, "epochs": 1}, tmp_path / "run")["linear"]
    assert row["selected"]["step"] == 0 and row["last"]["step"] == 5
    assert row["selected"]["metrics"]["mIoU"] > row["last"]["metrics"]["mIoU"]
    assert row["options"]["init"] == "ridge"


def test_it_is_an_option_of_every_head_that_has_it():
    request = make_request({"heads": (*HEADS, "classify.knn"), "data": DATA, "init": "ridge"})
    config = resolve(request)
    assert {name: head.options.get("init") for name, head in config.heads.items()} == {
        "classify_linear": "ridge",
        "segment_linear": "ridge",
        "depth_linear": "ridge",
        "knn": None,
    }
    own = make_request({"heads": HEADS, "data": DATA, "init": "ridge", "settings": {"depth_linear.init": "random"}})
    assert resolve(own).heads["depth_linear"].options["init"] == "random"


def test_where_no_head_has_it_those_that_have_it_are_named():
    with pytest.raises(ArgusError) as refusal:
        resolve(make_request({"heads": ("classify.knn", "detect.fcos"), "data": DATA, "init": "ridge"}))
    said = str(refusal.value)
    assert "classify.knn, detect.fcos" in said and all(name in said for name in HEADS)


def test_a_start_that_does_not_exist_is_refused_on_the_command_line(monkeypatch, capsys):
    line = ["arena", "train", "--head", "segment.linear", "--data", DATA, "--init", "rigde"]
    monkeypatch.setattr(sys, "argv", line)
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2 and "'rigde' is not one of 'ridge'" in " ".join(capsys.readouterr().err.split())
