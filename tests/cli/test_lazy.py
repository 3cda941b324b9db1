"""A command's module is imported when the command is called, and no other."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from argus_core.cli.app import make_program

SAID = []


def hello(name: str = "you") -> None:
    """Greet someone."""
    SAID.append(name)


PROGRAM = make_program(
    "program", "A program.", {"hello": "test_lazy:hello", "broken": "a_broken_module:x", "gone": "nobody_has_this:x"}
)


@pytest.fixture
def broken(tmp_path, monkeypatch):
    """A module that raises, when it is imported, what a mapping raises for a name that it lacks."""
    (tmp_path / "a_broken_module.py").write_text("{}['key']\n")
    monkeypatch.syspath_prepend(str(tmp_path))


def run(*words):
    return CliRunner().invoke(PROGRAM, words)


def test_other_commands_may_be_damaged():
    SAID.clear()
    assert run("hello", "--name", "Ada").exit_code == 0
    assert run("hello").exit_code == 0
    assert SAID == ["Ada", "you"]


@pytest.mark.usefixtures("broken")
def test_an_error_of_a_module_is_shown_as_it_is():
    assert isinstance(run("broken").exception, KeyError)
    assert isinstance(run("gone").exception, ModuleNotFoundError)


def test_a_wrong_name_suggests_one_without_importing_it():
    output = run("gome").output
    assert "No such command 'gome'" in output
    assert "Did you mean 'gone'" in output


def test_lists_import_neither_models_nor_arrays(python):
    code = """
import sys
from argus_arena.cli import main
sys.argv = ["arena", "heads"]
try:
    main()
except SystemExit as stop:
    assert not stop.code
print(*({"torch", "numpy", "PIL", "pydantic", "rich"} & set(sys.modules)), file=sys.stderr)
"""
    done = python("-c", code)
    assert done.returncode == 0, done.stderr
    assert "detect.fcos" in done.stdout
    assert done.stderr.strip() == ""
