"""MLflow and W&B for real: what a run reports is read back from a local store and from offline files."""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from arena_help import DATA, SMALL
from argus_board.mlflow_runs import key
from argus_board.tracking import (
    Memory,
    Scalars,
    TrackerHooks,
    group,
    is_requested,
    parameters,
    record_scalars,
    result_scalars,
)
from argus_core.errors import ArgusError
from argus_core.plugins.hooks import load_plugins

HELP = Path(__file__).with_name("tracker_help.py")
VARIABLES = ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID", "WANDB_PROJECT", "WANDB_MODE")
FCOS = {"head": "detect.fcos", "options": {"width": 8}, "recipe": {"lr": 0.1, "sweep": [], "only": {}}}
CONFIG = {"request": {"seed": 0, "data": "scenes:"}, "heads": {"fcos": FCOS, "other": {**FCOS, "head": "detect.other"}}}
ROW = {"metrics": {"AP": 0.25, "AP_small": None}, "selected": {"step": 20, "variant": "live"}, "notes": ["one", "two"]}
STARTED = ("arena_started", {"config": CONFIG})
CURVES = {
    "train/loss": [[1, 1.0], [10, 10.0], [20, 20.0], [30, 30.0]],
    "train/lr": [[1, 0.5], [10, 0.5], [20, 0.5], [30, 0.5]],
    "live/AP": [[20, 0.25], [30, 0.25]],
    "live/AP/odd (name)": [[20, 0.5], [30, 0.5]],
}


def trained(step, head="fcos"):
    return "arena_logged", {"record": {"step": step, "head": head, "epoch": 1, "loss": step, "cls": None, "lr": 0.5}}


def scored(step):
    values = {"AP": 0.25, "AP/odd (name)": 0.5, "AP/none": None}
    return "arena_logged", {"record": {"step": step, "head": "fcos", "epoch": 1, "weights": "live", "eval": values}}


@pytest.fixture(autouse=True)
def _no_tracker_is_requested(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def environment(tmp_path):
    """The environment variables that request both trackers, all on this machine."""
    if find_spec("mlflow") is None or find_spec("wandb") is None:
        pytest.skip("needs the extras mlflow and wandb")
    return {
        "MLFLOW_TRACKING_URI": (tmp_path / "mlruns").as_uri(),
        "MLFLOW_ALLOW_FILE_STORE": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_EXPERIMENT_NAME": "tests",
        "WANDB_MODE": "offline",
        "WANDB_ERROR_REPORTING": "false",
        "OMP_NUM_THREADS": "1",
    }


def stored(python, run, environment):
    done = python(str(HELP), "read", str(run), **environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.rpartition("---\n")[2])


def test_a_run_is_one_run_per_head_and_repeated_steps_are_reported_once(python, environment, tmp_path):
    """Killed after its first evaluation, resumed and failed, resumed again and ended."""
    run = tmp_path / "runs" / "mine"
    run.mkdir(parents=True)
    tries = (
        [STARTED, trained(1), trained(1, "other"), trained(10), trained(20), scored(20), ("kill", {})],
        [STARTED, trained(1), trained(1, "other"), trained(10), trained(20), scored(20), ("fail", {})],
        [STARTED, trained(20), scored(20), trained(30), scored(30), ("arena_finished", {"results": {"fcos": ROW}})],
    )
    for events, code in zip(tries, (9, 1, 0), strict=True):
        (tmp_path / "events.json").write_text(json.dumps(events))
        done = python(str(HELP), "play", str(run), str(tmp_path / "events.json"), **environment)
        assert (done.returncode, done.stdout, done.stderr) == (code, "", "")
    runs = stored(python, run, environment)
    check_mlflow(runs["mlflow"])
    check_wandb(runs["wandb"])


def check_mlflow(runs):
    fcos, other = runs["fcos"], runs["other"]
    assert (fcos["status"], fcos["name"], other["status"], other["name"]) == ("FINISHED", "fcos", "FAILED", "other")
    assert fcos["tags"] == {"argus.run": group_of(fcos["tags"]), "argus.head": "detect.fcos"}
    assert fcos["params"].items() >= {"options.width": "8", "recipe.sweep": "[]", "request.data": "scenes:"}.items()
    assert fcos["curves"] == {key(tag): points for tag, points in CURVES.items()} | {"best/AP": [[20, 0.25]]}
    assert other["curves"]["train/loss"] == [[1, 1.0]]
    assert (fcos["row"], fcos["notes"], other["row"]) == (ROW, "one\n\ntwo", None)


def group_of(tags):
    assert tags["argus.run"].endswith("runs/mine")
    return tags["argus.run"]


def check_wandb(runs):
    fcos, other = runs["fcos"], runs["other"]
    assert fcos["exit"] == [1, 0] and other["exit"] == [1, 1]  # the killed process left nothing in its file
    assert fcos["group"] == other["group"] and fcos["group"].endswith("runs/mine")
    assert fcos["config"].items() >= {"head": "detect.fcos", "options.width": 8, "recipe.lr": 0.1}.items()
    assert fcos["curves"] == CURVES
    assert fcos["summary"].items() >= {"best/AP": 0.25, "result": ROW, "train/loss": 30.0}.items()
    assert fcos["notes"] == "one\n\ntwo"


def test_arena_train_reports_to_both_at_once(python, environment, tmp_path):
    run = tmp_path / "run"
    options = {key.removeprefix("fcos."): value for key, value in SMALL.items() if not key.startswith("split_tower.")}
    settings = [text for name, value in {**options, "epochs": 1}.items() for text in ("--set", f"{name}={value}")]
    where = ["--data", DATA, "--backbone", "tiny", "--canvas", "64", "--out", str(run)]
    done = python("-m", "argus_arena", "train", "--head", "fcos", *where, *settings, **environment)
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    row = json.loads((run / "fcos" / "result.json").read_text())
    runs = stored(python, run, environment)
    mlflow, wandb = runs["mlflow"]["fcos"], runs["wandb"]["fcos"]
    assert mlflow["row"] == wandb["summary"]["result"] == row
    assert mlflow["curves"]["train/loss"] == [[line["step"], line["loss"]] for line in log if "loss" in line]
    assert mlflow["curves"]["train/loss"] == wandb["curves"]["train/loss"]
    assert mlflow["curves"]["best/AP"] == [[row["selected"]["step"], row["metrics"]["AP"]]]
    assert mlflow["params"]["recipe.epochs"] == str(float(wandb["config"]["recipe.epochs"]))
    assert (mlflow["status"], wandb["exit"]) == ("FINISHED", [0])


def test_nothing_happens_unless_a_variable_is_set(tmp_path):
    before = set(sys.modules)
    plugins = load_plugins()
    plugins.tell("arena_started", run=tmp_path, config=CONFIG)
    plugins.tell("arena_logged", run=tmp_path, record=trained(1)[1]["record"])
    plugins.tell("arena_finished", run=tmp_path, results={})
    assert not plugins.failed
    assert {path.name for path in tmp_path.iterdir()} <= {"tensorboard"}
    assert not {"mlflow", "wandb"} & (set(sys.modules) - before)


def test_disabled_means_disabled(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    monkeypatch.setenv("WANDB_PROJECT", "argus")
    load_plugins().hook.arena_started(run=tmp_path, config=CONFIG)
    assert {path.name for path in tmp_path.iterdir()} <= {"tensorboard"}


@pytest.mark.parametrize(("variable", "library"), [("MLFLOW_EXPERIMENT_NAME", "mlflow"), ("WANDB_PROJECT", "wandb")])
def test_a_missing_library_is_reported_once(monkeypatch, capsys, tmp_path, variable, library):
    monkeypatch.setenv(variable, "mine")
    monkeypatch.setattr("argus_board.tracking.find_spec", lambda name: None)
    plugins = load_plugins()
    for event, values in (STARTED, trained(1), trained(2)):
        plugins.tell(event, run=tmp_path, **values)
    messages = capsys.readouterr().err
    assert messages.count(f"{variable} is set") == 1
    assert f"pip install 'argus-perception[{library}]'" in messages


def test_an_empty_variable_counts_as_not_set(monkeypatch):
    monkeypatch.setenv("WANDB_PROJECT", "")
    assert not is_requested("a library that is missing", ("WANDB_PROJECT",))


def test_importing_the_plugins_loads_no_library(python):
    code = """
import sys
import argus_board.mlflow_runs, argus_board.wandb_runs
assert not {"mlflow", "wandb", "torch", "tensorboard"} & set(sys.modules)
"""
    assert python("-c", code).returncode == 0


class Fake:
    """A tracker that records its calls, and raises when ``broken``."""

    def __init__(self):
        self.scalars, self.closed, self.broken = [], [], False

    def write(self, head, scalars):
        if self.broken:
            raise OSError("the server is gone")
        self.scalars.append((head, scalars))

    def close(self, results):
        self.closed.append(results)


def test_a_run_that_never_ended_is_closed_without_results_at_exit(tmp_path):
    tracker = Fake()
    hooks = TrackerHooks(lambda run, config: tracker)
    hooks.arena_started(tmp_path, CONFIG)
    hooks.arena_logged(tmp_path, trained(1)[1]["record"])
    hooks._close_all()
    hooks._close_all()
    assert tracker.scalars == [("fcos", Scalars("train", 1, {"train/loss": 1, "train/lr": 0.5}))]
    assert tracker.closed == [{}]


def test_a_tracker_that_raised_is_not_called_again(tmp_path):
    tracker = Fake()
    hooks = TrackerHooks(lambda run, config: tracker)
    hooks.arena_started(tmp_path, CONFIG)
    tracker.broken = True
    with pytest.raises(OSError, match="gone"):
        hooks.arena_logged(tmp_path, trained(1)[1]["record"])
    hooks.arena_logged(tmp_path, trained(2)[1]["record"])
    hooks.arena_finished(tmp_path, {})
    hooks._close_all()
    assert not tracker.scalars and not tracker.closed


def test_values_that_are_no_numbers_are_left_out():
    record = {"step": 3, "head": "x", "epoch": 1, "trial": "lr=3", "loss": float("nan"), "box": None, "lr": 0.1}
    assert record_scalars(record) == Scalars("train lr=3", 3, {"train lr=3/lr": 0.1})
    assert result_scalars(ROW) == Scalars("best", 20, {"best/AP": 0.25})


def test_parameters_are_flat():
    assert parameters(CONFIG, "fcos") == {
        "head": "detect.fcos",
        "options.width": 8,
        "recipe.lr": 0.1,
        "recipe.sweep": [],
        "recipe.only": {},
        "request.seed": 0,
        "request.data": "scenes:",
    }


def test_a_group_is_the_end_of_the_folder():
    assert group(Path("/a/b/comparison/seed0/group1")) == "comparison/seed0/group1"
    assert group(Path("/run")) == "run"


@pytest.mark.parametrize(
    ("tag", "name"),
    [
        ("train/loss", "train/loss"),
        ("train lr=3/loss", "train lr_3/loss"),
        ("live/AP/disc, red", "live/AP.disc_ red"),
        ("live/..", "live/_"),
        ("live//x/", "live/x"),
        ("recipe.lr", "recipe.lr"),
    ],
)
def test_names_become_valid_in_mlflow(tag, name):
    assert key(tag) == name


def test_memory_outlives_a_process_and_reads_the_rest_in_the_log(tmp_path):
    file, log = tmp_path / "mine.json", tmp_path / "log.jsonl"
    first = Memory(file, log)
    first.begin("fcos", "id-1")
    first.save()
    log.write_text(json.dumps(trained(10)[1]["record"]) + '\n{"step": 20, "he')
    second = Memory(file, log)
    assert second.runs == {"fcos": "id-1"}
    assert not second.is_new("fcos", Scalars("train", 10, {}))
    assert second.is_new("fcos", Scalars("live", 10, {}))
    assert second.is_new("fcos", Scalars("train", 20, {}))
    assert Memory(file).is_new("fcos", Scalars("train", 10, {}))
    second.begin("fcos", "id-2")
    assert second.is_new("fcos", Scalars("train", 10, {}))


def test_a_damaged_memory_says_what_to_do(tmp_path):
    (tmp_path / "mlflow.json").write_text("{")
    with pytest.raises(ArgusError, match="remove it"):
        Memory(tmp_path / "mlflow.json")
