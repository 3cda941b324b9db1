"""The TensorBoard plugin: what a run logs can be read back, once per step, also after a resumed run."""

from __future__ import annotations

import subprocess
import sys

import pytest

import argus_board
from argus_core.plugins.hooks import load_plugins

CONFIG = {"heads": {"fcos": {"recipe": {"lr": 0.001}}, "other": {}}}
ROW = {"metrics": {"AP": 0.5, "AP_small": None}, "selected": {"step": 4, "variant": "ema"}}


def train_record(step, head="fcos", loss=1.0):
    return {"step": step, "head": head, "epoch": step / 10, "loss": loss, "cls": loss / 2, "lr": 1e-3}


def eval_record(step, ap):
    return {"step": step, "head": "fcos", "epoch": 1, "weights": "live", "eval": {"AP": ap, "AP/disc": None}}


def curves(run, head="fcos"):
    """{tag: [(step, value)]} as TensorBoard itself reads them."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = accumulator.EventAccumulator(str(run / "tensorboard" / head)).Reload()
    return {tag: [(e.step, pytest.approx(e.value)) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def play(run, records, results=None):
    hook = load_plugins().hook
    hook.arena_started(run=run, config=CONFIG)
    for record in records:
        hook.arena_logged(run=run, record=record)
    if results is not None:
        hook.arena_finished(run=run, results=results)


def test_what_is_logged_can_be_read_back(tmp_path):
    play(tmp_path, [train_record(1, loss=2.0), train_record(4, loss=1.0), eval_record(4, 0.25)], {"fcos": ROW})
    assert curves(tmp_path) == {
        "train/loss": [(1, 2.0), (4, 1.0)],
        "train/cls": [(1, 1.0), (4, 0.5)],
        "train/lr": [(1, 1e-3), (4, 1e-3)],
        "live/AP": [(4, 0.25)],
        "best/AP": [(4, 0.5)],
    }
    assert tmp_path not in argus_board._hooks._trackers


def test_heads_do_not_mix(tmp_path):
    play(tmp_path, [train_record(1), train_record(1, "other", 7.0)], {})
    assert curves(tmp_path, "other")["train/loss"] == [(1, 7.0)]
    assert curves(tmp_path)["train/loss"] == [(1, 1.0)]


def test_the_rates_of_a_sweep_have_curves_of_their_own(tmp_path):
    play(tmp_path, [{**train_record(1, loss=loss), "trial": rate} for rate, loss in (("lr=3", 2.0), ("lr=1", 4.0))], {})
    found = curves(tmp_path)
    assert found["train lr=3/loss"] == [(1, 2.0)] and found["train lr=1/loss"] == [(1, 4.0)]


def test_a_killed_run_that_resumes_has_one_value_per_step(tmp_path):
    play(tmp_path, [train_record(step, loss=9.0) for step in range(1, 9)])  # killed: never finished
    play(tmp_path, [train_record(step, loss=1.0) for step in range(5, 11)], {})
    assert curves(tmp_path)["train/loss"] == [(s, 9.0 if s < 5 else 1.0) for s in range(1, 11)]


def test_without_tensorboard_nothing_happens(tmp_path, monkeypatch):
    monkeypatch.setattr(argus_board, "find_spec", lambda name: None)
    play(tmp_path, [train_record(1), eval_record(1, 0.1)], {"fcos": ROW})
    assert not list(tmp_path.iterdir())


def test_importing_the_plugin_loads_no_tensorboard():
    code = "import argus_board, sys; sys.exit('tensorboard' in sys.modules or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
