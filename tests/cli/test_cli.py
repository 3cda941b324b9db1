"""The ``arena`` command as a user meets it: help, lists, and answers to mistakes."""

from __future__ import annotations

import re
from importlib.metadata import entry_points

import pytest

COMMANDS = (
    "heads",
    "backbones",
    "plugins",
    "plugin",
    "check",
    "cache",
    "data",
    "train",
    "eval",
    "compare",
    "board",
    "report",
    "reproduce",
    "domains",
    "predict",
    "text",
)
INNER = ("cache info", "cache verify", "data check", "plugin new")


def test_answers_from_metadata_do_not_import_torch(python):
    code = """
import sys
from argus_arena.cli import main
for line in sys.argv[1:]:
    sys.argv = ["arena", *line.split()]
    try:
        main()
    except SystemExit as stop:
        assert not stop.code, (line, stop.code)
    assert "torch" not in sys.modules, line
"""
    helps = [f"{command} --help" for command in ("", *COMMANDS, *INNER)]
    done = python("-c", code, "heads", "backbones", "plugins", *helps)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_help_names_every_command(arena):
    code, out, _ = arena("--help")
    assert code == 0
    assert set(COMMANDS) <= set(re.findall(r"^\W*([a-z]+)\s", out, re.M))


@pytest.mark.parametrize("command", [*COMMANDS, *INNER])
def test_every_command_explains_itself(arena, command):
    code, out, _ = arena(f"{command} --help")
    assert code == 0
    usage, sentence = [line.strip() for line in out.splitlines() if line.strip()][:2]
    assert f" {command} " in usage
    assert sentence[0].isupper()


def test_help_of_train_tells_how_heads_are_called(arena):
    assert "depth_linear" in arena("train --help")[1]


@pytest.mark.parametrize("command", ["heads", "backbones"])
def test_lists_hold_all_that_is_installed(arena, command):
    code, out, _ = arena(command)
    assert code == 0
    installed = {(point.name, point.value) for point in entry_points(group=f"argus.{command}")}
    assert installed == {tuple(line.split()[:2]) for line in out.splitlines()}


def test_plugins_and_their_data_sets_are_listed(arena):
    code, out, _ = arena("plugins")
    assert code == 0
    assert {"board", "data"} <= {line.split()[0] for line in out.splitlines()}
    assert {"coco", "scenes"} <= set(re.findall(r"\w+", out.partition("data sets:")[2]))


def test_a_broken_plugin_is_named_and_harms_no_other(arena, install):
    install("stranger", "argus.plugins", {"strange": "stranger_that_is_missing"})
    code, out, _ = arena("plugins")
    assert code == 1
    assert re.search(r"FAILED .*strange.*stranger 1\.2.*No module named", out)
    assert "coco" in out


def test_a_plugin_with_an_unknown_hook_is_named(arena, install):
    folder = install("stranger", "argus.plugins", {"strange": "stranger_misspelt"})
    source = "from argus_core import hookimpl\n\n\n@hookimpl\ndef arena_startet(run): ...\n"
    (folder / "stranger_misspelt.py").write_text(source)
    code, out, _ = arena("plugins")
    assert code == 1
    assert re.search(r"FAILED .*strange.*arena_startet", out, re.S)


def test_a_name_taken_twice_is_listed_twice_and_refused_on_use(arena, install):
    install("stranger", "argus.heads", {"detect.fcos": "stranger:Mine"})
    lines = [line for line in arena("heads")[1].splitlines() if line.startswith("detect.fcos ")]
    assert len(lines) == 2 and "stranger 1.2" in "".join(lines)
    code, _, message = arena("train --head fcos --data scenes: --dry-run")
    assert code == 2
    assert "provided twice" in message and "stranger 1.2" in message and "argus-perception" in message


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("train --head detect.fcso --data scenes:", "did you mean 'detect.fcos'"),
        ("train --head linera --data scenes:", "'depth.linear'"),
        ("train --head mine=fsoc --data scenes:", "did you mean 'detect.fcos'"),
        ("train --head zzzzzz --data scenes:", "known: classify.knn, classify.linear"),
        ("train --data scenes:", "--head NAME"),
        ("train --head fcos", "--data SPEC"),
        ("train --head fcos --data scenes: --set widht=3 --dry-run", "did you mean 'width'"),
        ("train --head fcos --data scenes: --set lr --dry-run", "'lr' is not KEY=VALUE"),
        ("train --head fcos --data scenes: --set lr=-1 --dry-run", "lr = -1"),
        ("board no_such_folder", "no result.json"),
    ],
)
def test_mistakes_are_answered_in_one_message(arena, line, message):
    code, out, text = arena(line)
    assert (code, out) == (2, "")
    assert text.startswith("error: ") and message in text
