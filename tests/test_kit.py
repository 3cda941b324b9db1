"""The conformance kit: a good head passes, and every promise has a head that breaks it and is caught."""

from __future__ import annotations

import json
import os
import sys

import pytest
import torch

from argus_core.errors import ArgusError
from argus_core.testing import CHECKS, head_suite
from argus_core.testing.suite import reason
from broken_heads import BROKEN, Good

test_good_head = head_suite(Good)


@pytest.mark.parametrize(
    ("check", "head"),
    [pytest.param(check, head, id=head.__name__) for check, heads in BROKEN.items() for head in heads],
)
def test_every_broken_head_is_caught_by_its_check(check, head, monkeypatch):
    monkeypatch.setenv("A_BROKEN_HEAD", "")
    before = (torch.get_default_dtype(), torch.get_num_threads(), torch.is_grad_enabled())
    assert reason(check, head)
    assert (torch.get_default_dtype(), torch.get_num_threads(), torch.is_grad_enabled()) == before


def test_import_side_effects_are_caught(tmp_path, monkeypatch):
    (tmp_path / "rude_module.py").write_text(
        "import os, warnings, torch\nprint('hello')\nos.environ['A_BROKEN_HEAD'] = '1'\n"
        "warnings.simplefilter('ignore')\ntorch.set_num_threads(torch.get_num_threads() + 1)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    rude = type("Rude", (Good,), {"__module__": "rude_module"})
    found = reason("import_hygiene", rude)
    assert all(word in found for word in ("hello", "environment", "warning filters", "thread count")), found


def test_options_reach_the_head():
    assert "layer 2" in reason("reads_every_cell", Good, {"layers": [2, -1]})
    assert "did you mean 'width'" in reason("needs", Good, {"widht": 8})


def test_every_check_has_a_head_that_it_catches():
    assert set(BROKEN) | {"import_hygiene"} == set(CHECKS)


def test_expected_failures_need_a_known_check_and_a_reason():
    with pytest.raises(ArgusError, match="did you mean 'learns'"):
        head_suite(Good, expected_failures={"learn": "it is slow"})
    with pytest.raises(ArgusError, match="without a reason"):
        head_suite(Good, expected_failures={"learns": " "})


def test_an_expected_failure_that_passes_is_a_failure(pytester_run):
    outcome = pytester_run("expected_failures={'needs': 'a reason', 'options': 'another'}")
    assert "2 failed" in outcome and "XPASS(strict)" in outcome


@pytest.fixture
def pytester_run(tmp_path, python):
    """Run ``head_suite(Good, ...)`` on two checks in a pytest of its own."""

    def run(arguments: str) -> str:
        (tmp_path / "test_it.py").write_text(
            "from broken_heads import Good\nfrom argus_core.testing import head_suite\n"
            f"test_head = head_suite(Good, {arguments})\n"
        )
        path = os.pathsep.join([os.path.dirname(__file__), *filter(None, sys.path)])
        done = python(
            "-m", "pytest", "-k", "needs or options", "-p", "no:cacheprovider", str(tmp_path), PYTHONPATH=path
        )
        return done.stdout

    return run


def test_check_head_names_every_check_and_its_reason_without_pytest(python):
    code = (
        "import json, sys; from broken_heads import ClimbsItsLoss; from argus_core.testing import check_head; "
        "print(json.dumps([check_head(ClimbsItsLoss), 'pytest' in sys.modules]))"
    )
    done = python("-c", code, PYTHONPATH=os.path.dirname(__file__))
    faults, pytest_was_imported = json.loads(done.stdout)
    assert list(faults) == list(CHECKS) and not pytest_was_imported
    assert "60 steps" in faults.pop("learns") and not any(faults.values()), faults
