"""`argus serve` refuses what cannot work before a model is loaded."""

from __future__ import annotations

import sys

import pytest
from typer.testing import CliRunner

from argus_core.cli.commands import app
from argus_core.serve.address import bind


@pytest.fixture
def refused(monkeypatch):
    """What a command line is told; nothing heavy may happen before."""

    def run(*options: str) -> str:
        monkeypatch.setitem(sys.modules, "argus_core.cli.serving", None)
        result = CliRunner().invoke(app, ["serve", *options], env={"ARGUS_TOKEN": ""})
        assert result.exit_code != 0
        assert not isinstance(result.exception, ImportError), "the model was about to be opened"
        return f"{result.output} {result.exception}"

    return run


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (("--host", "0.0.0.0"), "ARGUS_TOKEN"),
        (("--host", "0.0.0.0", "--token", "short"), "16"),
        (("--host", "no such host"), "no such host"),
        (("--tasks", "smell"), "smell"),
        (("--model", "nothing-like-this"), "nothing-like-this"),
        (("--overlap", "0.3"), "--tiles"),
        (("--port", "-1"), "--port"),
        (("--timeout", "nan"), "--timeout"),
        (("--batch", "0"), "--batch"),
        (("--device", "gpu"), "gpu"),
    ],
)
def test_options_are_checked_first(refused, options, word):
    assert word in refused(*options)


def test_a_port_that_is_taken_is_noticed_first(refused):
    with bind("127.0.0.1", 0) as listener:
        assert "in use" in refused("--port", str(listener.getsockname()[1]))


@pytest.mark.parametrize("module", ["fastapi", "uvicorn", "fastapi_offline", "prometheus_client"])
def test_a_missing_extra_is_told(refused, monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)
    assert "pip install 'argus-perception[serve]'" in refused()
