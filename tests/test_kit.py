"""The conformance kit: a good head passes, and every promise has a head that breaks it and is caught."""

from __future__ import annotations

import os
import sys

import pytest
import torch
from broken_heads import BROKEN, Good, NeverLearns

from argus_core.errors import ArgusError
from argus_core.testing import CHECKS, check_head, head_suite
from argus_core.testing.suite import reason

test_good_head = head_suite(Good)
test_options_reach_the_head = head_suite(
    Good,
    options={"width": 8, "layers": [2, -1]},
    expected_failures={"reads_every_cell": "the head is given two layers and reads the last"},
)


@pytest.mark.parametrize(
    ("check", "head"),
    [pytest.param(check, head, id=head.__name__) for check, heads in BROKEN.items() for head in heads],
)
def test_every_broken_head_is_caught_by_its_check(check, head, monkeypatch):
    monkeypatch.setenv("A_BROKEN_HEAD", "")
    before = (torch.get_default_dtype(), torch.get_num_threads(), torch.is_grad_enabled())
    assert reason(check, head)
    assert (torch.get_default_dtype(), torch.get_num_threads(), torch.is_grad_enabled()) == before


MODULES = {
    "print('hello')": "prints 'hello",
    "import os; os.environ['A_BROKEN_HEAD'] = '1'": "changes the environment",
    "import warnings; warnings.simplefilter('ignore')": "changes the warning filters",
    "import torch; torch.set_num_threads(torch.get_num_threads() + 1)": "changes the thread count",
}


@pytest.mark.parametrize("line", MODULES)
def test_import_side_effects_are_caught(line, tmp_path, monkeypatch):
    name = f"rude_{abs(hash(line))}"
    (tmp_path / f"{name}.py").write_text("class Head: pass\n" + line)
    monkeypatch.syspath_prepend(tmp_path)
    rude = type("Rude", (Good,), {"__module__": name})
    assert MODULES[line] in reason("import_hygiene", rude)


def test_every_check_has_a_head_that_it_catches():
    assert set(BROKEN) | {"import_hygiene"} == set(CHECKS)


def test_check_head_names_every_check_and_the_reason():
    faults = check_head(NeverLearns)
    assert list(faults) == list(CHECKS)
    assert "60 steps" in faults["learns"]
    assert not faults["options"] and not faults["gradients"]


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


def test_checking_without_pytest(python):
    code = "import sys; from argus_core.testing import check_head; sys.exit('pytest' in sys.modules)"
    assert python("-c", code).returncode == 0
