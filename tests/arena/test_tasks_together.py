"""Every task through one arena: one cache, one read, one loop, whatever the company."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from arena_help import train_run
from argus_arena.requests import CacheRequest, EvalRequest
from argus_arena.tools.cache import build_cache
from argus_arena.tools.rescore import evaluate_run, print_explanation
from argus_core.common.tensors import tensors_sha256
from argus_core.errors import ArgusError
from argus_core.saving.checkpoint import load_head, read_tensors

DATA = "scenes:images=28,val=6,size=64"
SELECTION = "0.58"
"""16 of the images: 12 are trained on."""
TRAINED = ("classify.linear", "segment.linear", "depth.linear", "depth.dpt", "detect.fcos")
NAMES = {
    "classify.linear": "classify_linear",
    "segment.linear": "segment_linear",
    "depth.linear": "depth_linear",
    "depth.dpt": "dpt",
    "detect.fcos": "fcos",
}
SETTINGS = {
    "batch": 4,
    "epochs": 2,
    "fcos.width": 32,
    "fcos.depth": 1,
    "dpt.width": 16,
    "dpt.bins": 32,
    "classify_linear.lr": 1.0,
    "classify_linear.sweep": [3.0],
}


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    folder = tmp_path_factory.mktemp("together") / "cache"
    build_cache(CacheRequest(data=DATA, out=folder, backbone="tiny", canvas="64x96", layers=(2, 5, 8, 11), cls=True))
    return folder


def train(cache, out, *heads, **more):
    named = [head if "=" in head else f"{NAMES[head]}={head}" for head in heads]
    own = {name.partition("=")[0] for name in named}
    chosen = {k: v for k, v in SETTINGS.items() if "." not in k or k.partition(".")[0] in own}
    given = {"heads": tuple(named), "data": DATA, "cache": str(cache), "eval_every": 1.0, "selection": SELECTION}
    return train_run({**given, **more}, chosen, out)


@pytest.fixture(scope="module")
def together(cache, tmp_path_factory):
    out = tmp_path_factory.mktemp("together") / "run"
    return out, train(cache, out, *TRAINED)


def test_every_task_is_chosen_on_training_images(together):
    for name, row in together[1].items():
        chosen = row["selected"]
        assert (chosen["split"], chosen["images"], row["data"]["val"]["images"]) == ("train", 16, 6), name
        assert chosen["metrics"][row["primary"]] is not None and chosen["metrics"] != row["metrics"], name


@pytest.mark.parametrize("head", TRAINED)
def test_a_head_ends_as_it_would_alone(cache, together, tmp_path, head):
    name = NAMES[head]
    alone = train(cache, tmp_path / "alone", head)[name]
    assert alone["weights_sha256"] == together[1][name]["weights_sha256"]
    assert alone["metrics"] == together[1][name]["metrics"]


def test_scoring_again_with_live_tokens_gives_nearly_the_same(together):
    # The cache rounds tokens to fp16, live ones are float32.
    for name, row in together[1].items():
        again = evaluate_run(EvalRequest(run=together[0] / name, device="cpu"))[name]
        value, held = again["metrics"][row["primary"]], row["metrics"][row["primary"]]
        assert value == pytest.approx(held, abs=0.05), name
        assert again["protocol"] == row["protocol"]


def test_a_head_of_two_tasks_share_no_short_name(cache, tmp_path):
    rows = train_run(
        {"heads": ("classify.linear", "depth.linear"), "data": DATA, "cache": str(cache)},
        {"batch": 4, "epochs": 1, "classify_linear.sweep": []},
        tmp_path / "run",
    )
    assert set(rows) == {"classify_linear", "depth_linear"}


def test_fitted_heads_and_trained_ones_share_a_run(cache, tmp_path):
    heads = ("knn=classify.knn", "prototypes=classify.prototypes", "classify.linear", "match=segment.linear")
    rows = train(cache, tmp_path / "mixed", *heads)
    assert rows["knn"]["parameters"] == rows["prototypes"]["parameters"] == 0
    assert rows["knn"]["steps"] == 0 and rows["classify_linear"]["steps"] == 6
    head, _ = load_head(tmp_path / "mixed" / "knn" / "best.safetensors")
    assert tensors_sha256(head.state_dict()) == rows["knn"]["weights_sha256"]


def test_a_resumed_run_of_fitted_heads_is_not_fitted_twice(cache, tmp_path, monkeypatch):
    from argus_core.saving.build import head_class

    heads = ("knn=classify.knn", "classify.linear")
    first = train(cache, tmp_path / "run", *heads)
    monkeypatch.setattr(head_class("classify.knn"), "fit", lambda *_: pytest.fail("fitted again"))
    (tmp_path / "run" / "knn" / "result.json").unlink()
    again = train(cache, tmp_path / "run", *heads)
    assert again["knn"]["metrics"] == first["knn"]["metrics"]
    assert again["knn"]["weights_sha256"] == first["knn"]["weights_sha256"]


def test_a_sweep_keeps_the_best_rate_and_each_rate_equals_a_run_of_its_own(cache, tmp_path):
    settings = {"batch": 4, "epochs": 3, "lr": 0.5, "sweep": [1.0, 3.0]}
    given = {
        "heads": ("classify.linear",),
        "data": DATA,
        "cache": str(cache),
        "eval_every": 1.0,
        "selection": SELECTION,
    }
    row = train_run(given, settings, tmp_path / "sweep")["linear"]
    assert set(row["sweep"]) == {"lr=0.5", "lr=1", "lr=3"}
    assert row["selected"]["metrics"]["top1"] == max(row["sweep"].values())
    for rate in (0.5, 1.0, 3.0):
        alone = train_run(given, {**settings, "lr": rate, "sweep": []}, tmp_path / str(rate))["linear"]
        assert alone["selected"]["metrics"]["top1"] == row["sweep"][f"lr={rate:g}"]
        if row["selected"]["variant"] == f"lr={rate:g}":
            best, same = (read_tensors(tmp_path / f / "linear" / "best.safetensors")[1] for f in ("sweep", str(rate)))
            assert tensors_sha256(best) == tensors_sha256(same)


def test_a_rate_that_diverges_stops_alone(cache, tmp_path):
    given = {"heads": ("depth.linear",), "data": DATA, "cache": str(cache), "eval_every": 1.0, "selection": SELECTION}
    settings = {
        "batch": 4,
        "epochs": 2,
        "lr": 1e-3,
        "sweep": [1e38],
        "optimizer": "sgd",
        "clip": 0,
        "schedule": "constant",
    }
    row = train_run(given, {**settings, "warmup": 0}, tmp_path / "run")["linear"]
    assert row["selected"]["variant"] == "lr=0.001"
    assert row["metrics"]["abs_rel"] is not None


def test_a_sweep_with_stages_is_refused(cache, tmp_path):
    with pytest.raises(ArgusError, match="cannot have further stages"):
        train_run(
            {"heads": ("classify.linear",), "data": DATA, "cache": str(cache), "selection": SELECTION},
            {"sweep": [1.0], "stages": [{"epochs": 1, "lr": 0.1}], "batch": 4},
            tmp_path / "run",
        )


def test_a_protocol_of_another_task_is_refused_with_those_that_fit(cache, together, tmp_path):
    words = r"'nyu-416-1' is for depth, head 'classify.linear' solves classify; protocols for classify: imagenet-knn-1,"
    for run in (together[0], together[0] / "classify_linear"):
        for explain in (evaluate_run, print_explanation):
            with pytest.raises(ArgusError, match=words):
                explain(EvalRequest(run=run, protocol="nyu-416-1", device="cpu"))
    with pytest.raises(ArgusError, match=words):
        train(cache, tmp_path / "run", "depth.linear", "classify.linear", protocol="nyu-416-1")
    assert not (tmp_path / "run").exists()


def test_an_option_of_another_tasks_metric_makes_no_row(together):
    def rows(name):
        return {file.name for file in (together[0] / name / "scores").glob("*.json")}

    evaluate_run(EvalRequest(run=together[0], device="cpu"))
    before = {name: rows(name) for name in together[1]}
    evaluate_run(EvalRequest(run=together[0], device="cpu", metric={"average": "pixel"}))
    assert {name for name in before if rows(name) != before[name]} == {"depth_linear", "dpt"}
    print_explanation(EvalRequest(run=together[0], metric={"average": "pixel"}))


@pytest.mark.parametrize("settings", [{"epochs": 3}, {"knn.lr": 0.1}])
def test_settings_of_steps_that_no_head_takes_are_refused(cache, tmp_path, settings):
    given = {"heads": ("classify.knn", "classify.prototypes"), "data": DATA, "cache": str(cache)}
    with pytest.raises(ArgusError, match=f"{next(iter(settings)).split('.')[-1]} is about gradient steps, and knn"):
        train_run(given, settings, tmp_path / "run")
    assert set(train_run(given, {"batch": 3}, tmp_path / "run")) == {"knn", "prototypes"}


TWO = """
import os, pathlib, sys
import torch.distributed as dist
from argus_arena.cli import app
from argus_arena.requests import EvalRequest
from argus_arena.tools.rescore import evaluate_run
run, meet, *train = sys.argv[1:]
evaluate_run(EvalRequest(run=pathlib.Path(run), device="cpu", metric={"backend": "faster"}))
rank = int(os.environ["RANK"])  # the store of torchrun holds one group's addresses: the second meets in a file
dist.init_process_group("gloo", init_method=f"file://{meet}", rank=rank, world_size=2)
app(train)
"""


@pytest.mark.slow
def test_two_processes_score_as_one(together, cache, tmp_path):
    """Heads of every task, by `arena eval`; a fitted head also by `arena train`, where it must be the same head."""
    single = evaluate_run(EvalRequest(run=together[0], device="cpu"))
    given = {"heads": ("knn",), "data": DATA, "cache": str(cache), "device": "cpu"}
    one = train_run(given, {}, tmp_path / "one")["knn"]
    script = tmp_path / "both.py"  # torchrun takes an option --run for its own
    script.write_text(TWO)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(script)]
    command = ["train", "--head", "knn", "--data", DATA, "--cache", str(cache), "--device", "cpu"]
    arguments = [str(together[0]), str(tmp_path / "meet"), *command, "--out", str(tmp_path / "two")]
    done = subprocess.run([*launch, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name, row in single.items():
        files = sorted((together[0] / name / "scores").glob("*.json"), key=lambda file: file.stat().st_mtime)
        double = json.loads(files[-1].read_text())
        assert double["metrics"] == pytest.approx(row["metrics"], abs=1e-4, nan_ok=True), name
    two = json.loads((tmp_path / "two" / "knn" / "result.json").read_text())
    assert two["metrics"] == one["metrics"] and two["weights_sha256"] == one["weights_sha256"]
