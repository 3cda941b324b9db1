"""``arena check``: what names stand for, the report, and expected failures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from argus_arena.cli import app
from argus_arena.tools.check import STYLES, head_cost
from argus_arena.tools.check_subject import find_target
from argus_core.errors import ArgusError
from argus_core.testing import TASK_CHECKS
from argus_core.testing.heads.subject import Subject
from broken_heads import Good

HEAD_FILE = """
from broken_heads import Good, ClimbsItsLoss


class Mine(Good):
    pass


class Climbs(ClimbsItsLoss):
    pass


def pictures():
    from test_kit_data import both

    return both()
"""


@pytest.fixture
def arena(monkeypatch):
    """``arena(*arguments)``: exit code and output of the command."""
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments):
        done = CliRunner().invoke(app, ["check", *arguments])
        if isinstance(done.exception, ArgusError):
            raise done.exception
        return done.exit_code, done.output

    return run


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "testing")  # where test_kit_data is
    path = tmp_path / "strange.py"
    path.write_text(HEAD_FILE)
    return path


def test_the_table_names_every_check_with_its_time(arena):
    code, text = arena("correspond", "--kind", "task")
    assert code == 0 and f"task correspond: {len(TASK_CHECKS)} ok" in text
    rows = [line.split() for line in text.splitlines()]
    assert [row[0] for row in rows if len(row) == 3 and row[1] == "ok"] == list(TASK_CHECKS)


def test_a_failed_check_is_told_in_full_with_its_promise(arena, file):
    code, text = arena(f"{file}:Climbs", "--only", "learns", "--only", "needs")
    assert code == 1 and "head" in text and "1 ok, 1 FAILED" in text
    assert "FAILED learns\n  promise: Fitted or within 60 steps" in text
    assert "  fault: 60 steps at" in text
    assert "parameters" in text and "GMACs" in text and "640 x 640 px, 768 channels" in text


def test_expected_failures_are_strict(arena, file):
    only = ("--only", "learns", "--only", "needs")
    code, text = arena(f"{file}:Climbs", *only, "--expect", "learns=it climbs = on purpose")
    assert code == 0 and "1 ok, 1 expected failure" in text and "  expected: it climbs = on purpose" in text
    code, text = arena(f"{file}:Mine", *only, "--expect", "needs=no reason")
    assert code == 1 and "unexpected pass needs" in text
    for wrong, words in (("learn=why", "did you mean 'learns'"), ("learns", "CHECK=REASON"), ("learns=", "without a")):
        with pytest.raises(ArgusError, match=words):
            arena("fcos", "--expect", wrong, *only)
    with pytest.raises(ArgusError, match="did you mean 'needs'"):
        arena("fcos", "--only", "need")


def test_json_holds_everything(arena, file):
    code, text = arena(
        f"{file}:Climbs", "--json", "--only", "learns", "--set", "width=8", "--expect", "learns=it climbs"
    )
    found = json.loads(text)
    assert code == 0 and found["passed"] and found["kind"] == "head"
    (check,) = found["checks"]
    assert check["result"] == "expected failure" and check["expected"] == "it climbs" and "60 steps" in check["fault"]
    assert found["cost"]["macs"] > 0 and found["cost"]["parameters"] == 8 * (768 * 9 + 1) + 8 * (8 + 1)


def test_data_and_backbones(arena, file):
    code, text = arena("scenes:images=3,val=1,size=48")
    assert code == 0 and "data scenes:images=3,val=1,size=48: 14 ok" in text
    code, text = arena("tiny", "--only", "info", "--only", "states", "--json")
    assert code == 0 and json.loads(text)["kind"] == "backbone" and not json.loads(text)["cost"]
    code, text = arena(f"{file}:pictures", "--kind", "data", "--only", "keys")
    assert code == 0 and "1 ok" in text
    with pytest.raises(ArgusError, match="part of its spec"):
        arena("scenes:images=3", "--set", "size=64")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("detect.fcos", "head"),
        ("fcos", "head"),
        ("depth", "task"),
        ("tiny", "backbone"),
        ("timm:resnet18", "backbone"),
        ("scenes:size=64", "data"),
    ],
)
def test_what_names_stand_for(name, kind):
    assert find_target(name) == (kind, name)


def test_names_that_stand_for_nothing_or_too_much(tmp_path, monkeypatch):
    with pytest.raises(ArgusError, match=r"head, task, backbone or data set 'detect.focs'; did you mean 'detect.fcos'"):
        find_target("detect.focs")
    with pytest.raises(ArgusError, match="unknown kind 'tasks'; did you mean 'task'"):
        find_target("detect", "tasks")
    with pytest.raises(ArgusError, match="ambiguous"):
        find_target("linear")
    (tmp_path / "tiny").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ArgusError, match=r"'tiny' is .* a backbone and of a data set; say which: --kind backbone"):
        find_target("tiny")
    assert find_target("tiny", "backbone") == ("backbone", "tiny")
    (tmp_path / "none.py").write_text("")
    with pytest.raises(ArgusError, match="no function that opens"):
        find_target("none.py:both", "data")


def test_a_head_whose_cost_cannot_be_told_says_why():
    class Narrow(Good):
        def forward(self, features):
            if features.map.shape[1] != 48:
                raise ValueError("48 channels only")
            return super().forward(features)

    assert head_cost(Subject.of(Narrow)) == {"unknown": "ValueError: 48 channels only"}


def test_every_result_has_a_style():
    assert set(STYLES) == {"ok", "FAILED", "expected failure", "unexpected pass"}
