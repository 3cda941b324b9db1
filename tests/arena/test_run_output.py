"""What training and caching say while they go on and when they end."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from arena_help import DATA, settings, small_cache, train_run
from argus_arena.training.progress import ConsoleReporter, score_line
from argus_core.common import progress

METRICS = {"AP50": 0.8, "AP": 0.5, "AP/ring": 0.4, "AR1": None, "AR100": 0.6}


def reporter(terminal=False, width=40):
    return ConsoleReporter(Console(file=io.StringIO(), force_terminal=terminal, width=width))


def said(shown):
    return shown.console.file.getvalue().splitlines()


def test_a_log_has_step_epoch_rate_time_left_and_each_heads_loss(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    shown = reporter()
    shown.begin(0, 20, 4)
    for done in range(1, 11):
        now[0] += 1
        shown.step(
            done,
            {
                "fcos": {"": {"loss": 1.0, "lr": 5e-4}},
                "linear": {"lr=1": {"loss": 3, "lr": 1}, "lr=3": {"loss": 2, "lr": 3}},
            },
        )
    (line,) = said(shown)
    assert line == (
        "train: 10/20 steps, 50%, 1/s, 10 s left, epoch 3/5, fcos loss 1 lr 0.0005, linear loss 2 lr 1 to 3"
    )


def test_the_loss_is_smoothed():
    shown = reporter()
    shown.begin(0, 100, 10)
    for done, loss in enumerate([10.0] + [0.0] * 9, 1):
        shown.step(done, {"fcos": {"": {"loss": loss, "lr": 1.0}}})
    assert shown.losses["fcos"] == pytest.approx(10 * 0.9**9)


@pytest.mark.parametrize("terminal", [False, True])
def test_an_evaluation_is_one_line_with_the_score_that_decides_first(terminal):
    shown = reporter(terminal)
    shown.begin(3, 20, 4)
    shown.evaluated("fcos", "ema", 2.5, "AP", METRICS, True, "29 selection images")
    line = "epoch 2.5 fcos (ema) on 29 selection images: AP 0.5000, AP50 0.8000, AR100 0.6000, best so far"
    assert any(line in one for one in said(shown))
    assert any("resuming at step 3 of 20" in one for one in said(shown))
    shown.end()


def test_a_score_that_is_not_defined_says_so():
    assert score_line("fcos", "live", 1, "AP", {"AP": None}) == "epoch 1 fcos (live): AP undefined"


def test_commands_end_with_what_was_written_where_how_long_it_took_and_what_is_next(tmp_path, capfd):
    cache, out = tmp_path / "cache", tmp_path / "run"
    small_cache(cache)
    printed, told = capfd.readouterr()
    assert f"cached tokens: {cache} (" in printed and f"next: arena train --head HEAD --data {DATA}" in printed
    assert "train: 20 images on 64x64 letterbox, views id,hflip" in told and "\x1b" not in told
    train_run(
        {"heads": ("fcos",), "data": DATA, "cache": str(cache), "selection": "val"}, settings("fcos", epochs=2), out
    )
    printed, told = capfd.readouterr()
    assert f"run folder: {out} (" in printed and f"next: arena report {out}" in printed
    scores = [line for line in told.splitlines() if line.startswith("epoch ")]
    assert [line.split(":")[0] for line in scores] == ["epoch 1 fcos (live) on val", "epoch 2 fcos (live) on val"]
    assert all(line.split(": ")[1].startswith("AP ") for line in scores)
