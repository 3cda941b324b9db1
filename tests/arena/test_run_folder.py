"""What a run folder is named for, what it is computed on, and that neither changes in silence."""

from __future__ import annotations

import json

import pytest
import torch

from arena_help import DATA, small_cache, train_run
from argus_arena.comparison.reproduce import differences
from argus_arena.distributed import Distributed
from argus_arena.leaderboard.board import print_board
from argus_arena.leaderboard.standings import rankings
from argus_arena.requests import EvalRequest, make_request
from argus_arena.run.config import MUTABLE, resolve
from argus_arena.tools.rescore import evaluate_run
from argus_arena.training.learner import Learner
from argus_arena.training.train import _default_folder
from argus_core.errors import ArgusError

CPU = {"device": "cpu", "model": "", "precision": "fp32", "tokens": "fp32", "from_step": 0}
GPU = {"device": "cuda", "model": "Big GPU", "precision": "bf16"}


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return small_cache(tmp_path_factory.mktemp("folder") / "cache")


def train(cache, out, **more):
    given = {"heads": ("segment.linear",), "data": DATA, "cache": str(cache), "device": "cpu", "save_every": 2, **more}
    return train_run(given, {"epochs": 2, "batch": 4}, out)["linear"]


@pytest.fixture(scope="module")
def whole(cache, tmp_path_factory):
    """Folder and row of a finished run, not to be changed."""
    out = tmp_path_factory.mktemp("folder") / "run"
    return out, train(cache, out)


@pytest.fixture
def cut(cache, tmp_path, monkeypatch):
    """The folder of a run that was stopped after step 5, saved after step 4."""

    def crashing(self, at, tokens, targets, step=Learner.step):
        if at == 5:
            raise RuntimeError("power cut")
        return step(self, at, tokens, targets)

    with monkeypatch.context() as patch, pytest.raises(ArgusError, match="power cut"):
        patch.setattr(Learner, "step", crashing)
        train(cache, tmp_path / "run")
    return tmp_path / "run"


def test_a_row_says_device_and_precision_and_so_does_the_board(whole, capsys):
    out, row = whole
    assert row["hardware"] == [CPU]
    assert json.loads((out / "run.json").read_text())["record"]["hardware"] == [CPU]
    again = evaluate_run(EvalRequest(run=out, device="cpu"))["linear"]
    assert again["hardware"] == [CPU] and again["scored_on"] == {"device": "cpu", "model": "", "tokens": "fp32"}
    capsys.readouterr()
    for format, shown in (("table", "cpu fp32"), ("csv", ",cpu fp32,"), ("markdown", "| cpu fp32 |")):
        print_board([out], format)
        assert shown in capsys.readouterr().out
    print_board([out], "json")
    assert json.loads(capsys.readouterr().out)[0]["hardware"] == [CPU]


def test_rows_of_other_devices_are_other_entries_and_told_apart(whole):
    row = whole[1]
    for other in ({**CPU, **GPU}, {**CPU, "precision": "bf16"}, {**CPU, "tokens": "bf16"}):
        moved = {**row, "seed": 1, "hardware": [other]}
        assert [len(one.rows) for held in rankings([row, moved]).values() for one in held] == [1, 1]
        assert any(line.startswith("hardware: cpu fp32 (tokens fp32) became") for line in differences(row, moved))
    same = {**row, "seed": 1, "hardware": [{**CPU, "model": "other"}]}
    assert [len(one.rows) for held in rankings([row, same]).values() for one in held] == [2]
    assert not differences(row, same)


def test_a_run_does_not_go_on_on_another_device_in_silence(cut, cache, monkeypatch):
    monkeypatch.setattr(Distributed, "hardware", GPU)
    told = r"was trained on cpu fp32 \(tokens fp32\) so far; here it would be cuda bf16 .*--device cpu .*--new-device"
    with pytest.raises(ArgusError, match=told):
        train(cache, cut)
    row = train(cache, cut, new_device=True)
    assert row["hardware"] == [CPU, {**GPU, "tokens": "fp32", "from_step": 4}]
    assert "trained on cpu fp32, from step 4 on cuda bf16" in row["notes"]
    assert json.loads((cut / "run.json").read_text())["record"]["hardware"] == row["hardware"]


def test_the_same_device_in_another_precision_is_another_one(cut, cache, monkeypatch):
    monkeypatch.setattr(Distributed, "hardware", {**CPU, "precision": "bf16"})
    with pytest.raises(ArgusError, match="here it would be cpu bf16"):
        train(cache, cut)


def test_a_finished_run_is_not_moved(whole, cache, monkeypatch):
    monkeypatch.setattr(Distributed, "hardware", GPU)
    assert train(cache, whole[0])["hardware"] == [CPU]


def test_a_run_goes_on_as_before_on_the_same_device(cut, whole, cache):
    row = train(cache, cut)
    assert row["weights_sha256"] == whole[1]["weights_sha256"] and row["hardware"] == [CPU]


OTHER = {
    "device": "cuda",
    "workers": 2,
    "eval_batch": 3,
    "save_every": 7,
    "require_license": "permissive",
    "accept_faults": True,
    "new_device": True,
    "heads": ("detect.fcos",),
    "settings": {"lr": 1e-3},  # what the recipe has
}
DECIDING = {"seed": 1, "eval_every": 3.0, "data": "scenes:images=21", "val_split": "test", "settings": {"lr": 1.0}}


def folder(**more):
    given = {"heads": ("fcos",), "data": DATA, **more}
    settings = given.pop("settings", {})
    return _default_folder(resolve(make_request({**given, "settings": settings})))


def test_the_default_folder_depends_on_what_decides_the_outcome_alone():
    assert set(MUTABLE) <= set(OTHER)
    plain = folder()
    assert {key: folder(**{key: value}) for key, value in OTHER.items()} == dict.fromkeys(OTHER, plain)
    others = {folder(**{key: value}) for key, value in DECIDING.items()}
    assert len(others) == len(DECIDING) and plain not in others


def test_the_precision_of_training_is_that_of_the_device(monkeypatch):
    assert Distributed(0, 1, torch.device("cpu")).precision == "fp32"
    for native, precision in ((True, "bf16"), (False, "fp32")):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation, native=native: native)
        assert Distributed(0, 1, torch.device("cuda", 0)).precision == precision
