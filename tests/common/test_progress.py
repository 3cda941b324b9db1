"""What long commands show: a bar on a terminal, lines with rate and time left in a log."""

from __future__ import annotations

import io
import time

import pytest
from rich.console import Console

from argus_core.common import progress
from argus_core.common.progress import ProgressBar, duration, finished, resumable, working


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still unless told: ``clock[0] += seconds``."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def bar(total=200, terminal=False, **options):
    console = Console(file=io.StringIO(), force_terminal=terminal, width=40)
    return ProgressBar("cache train", total, console=console, **options)


def said(shown):
    return shown.console.file.getvalue().splitlines()


def test_a_log_gets_a_line_at_most_every_ten_seconds_with_rate_and_time_left(clock):
    with bar() as shown:
        for _ in range(100):
            clock[0] += 0.25
            shown.advance(note="a note that is longer than the console is wide [bold]")
    assert said(shown) == [
        "cache train: 40/200 images, 20%, 4/s, 40 s left, a note that is longer than the console is wide [bold]",
        "cache train: 80/200 images, 40%, 4/s, 30 s left, a note that is longer than the console is wide [bold]",
    ]


def test_what_was_there_before_counts_as_done_but_not_in_the_rate(clock):
    shown = bar(done=100)
    clock[0] += 10
    shown.advance(10)
    assert said(shown) == ["cache train: 110/200 images, 55%, 1/s, 1 min 30 s left"]


def test_without_a_total_there_is_no_share_and_slow_work_says_what_one_takes(clock):
    shown = bar(total=None, unit="frames")
    clock[0] += 30
    shown.advance(3)
    assert said(shown) == ["cache train: 3 frames, 10 s each"]


def test_a_stage_starts_the_rate_anew_and_does_not_put_off_the_next_line(clock):
    shown = bar()
    clock[0] += 6
    shown.advance(60)
    shown.stage("score", 50)
    clock[0] += 5
    shown.advance(10)
    assert said(shown) == ["score: 10/50 images, 20%, 2/s, 20 s left"]


def test_quick_work_says_nothing(clock):
    with bar() as shown:
        shown.update(200)
    assert said(shown) == []


def test_a_terminal_gets_a_bar_and_lines_above_it():
    with bar(terminal=True) as shown:
        shown.advance(5, note="loss 0.5")
        shown.print("epoch 1 [AP] 0.5")
        shown.stage("score", 10)
    text = shown.console.file.getvalue()
    assert "epoch 1 [AP] 0.5" in text and "\x1b[" in text  # moves the cursor


def test_work_that_does_not_count_tells_how_long_it_takes():
    for terminal, words in ((False, " s so far"), (True, "export")):
        console = Console(file=io.StringIO(), force_terminal=terminal, width=40)
        with working("export", console=console, every=0.01):
            deadline = time.monotonic() + 30
            while words not in console.file.getvalue() and time.monotonic() < deadline:
                time.sleep(0.01)
        assert words in console.file.getvalue()


def test_on_a_terminal_the_note_stands_below_the_bar_and_squeezes_nothing():
    console = Console(file=io.StringIO(), force_terminal=True, width=80)
    with ProgressBar("train", 20, "steps", console=console) as shown:
        shown.advance(5, note="epoch 2/4, " + "a loss of every head, " * 9)
        shown._bar.refresh()
    lines = console.file.getvalue().splitlines()
    assert any("5/20" in line and "elapsed" in line and "left" in line for line in lines)
    assert any("epoch 2/4, a loss" in line and line.endswith("…") for line in lines)


def test_durations_and_the_last_line(capsys):
    assert [duration(s) for s in (0.42, 9.96, 59.6, 3600 + 600)] == ["0.4 s", "10 s", "1 min 00 s", "1 h 10 min"]
    finished("model", "out", 12.3)
    assert capsys.readouterr().out == "model: out (12 s)\n"


def test_ctrl_c_says_how_to_go_on(capsys):
    with pytest.raises(KeyboardInterrupt), resumable("out"):
        raise KeyboardInterrupt
    assert capsys.readouterr().err == "stopped; what is done is kept, run the same command to continue in out\n"
