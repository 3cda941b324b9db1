"""The conformance kit: a good head passes, and every promise has a head that breaks it and is caught."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

import pytest
import torch

import argus_core.testing
from argus_core.common.deprecation import ArgusDeprecationWarning
from argus_core.errors import ArgusError
from argus_core.head import Head
from argus_core.plugins.files import load_object
from argus_core.testing import HEAD_CHECKS, TASK_CHECKS, check_head, head_suite
from argus_core.testing.heads.subject import Subject
from argus_core.testing.kit.runner import promise
from argus_core.testing.suite import HEAD_KIT, KITS
from broken_heads import BROKEN, ClimbsItsLoss, Good, RemembersItsShare
from broken_solved import BROKEN_SOLVED, Solved
from kit_marks import SLOW_GRAPHS

GRAPHS = ("exports", "compiles")

PLANTED = [(check, head) for table in (BROKEN, BROKEN_SOLVED) for check, heads in table.items() for head in heads]

test_good_head = head_suite(Good)
test_good_solved = head_suite(Solved, marks=SLOW_GRAPHS)


def reason(check, head, options=None):
    """Why one check does not hold."""
    return HEAD_KIT.fault(check, Subject.of(head, options))


@pytest.mark.parametrize(
    ("check", "head"),
    [pytest.param(check, head, id=head.__name__) for check, head in PLANTED if check not in GRAPHS],
)
def test_every_broken_head_is_caught_by_its_check(check, head, monkeypatch):
    monkeypatch.setenv("A_BROKEN_HEAD", "")
    before = (torch.get_default_dtype(), torch.get_num_threads(), torch.is_grad_enabled())
    assert reason(check, head)
    assert (torch.get_default_dtype(), torch.get_num_threads(), torch.is_grad_enabled()) == before


def test_a_fit_that_differs_between_processes_is_caught():
    assert "depends on which process reads what" in reason("fit_parts", RemembersItsShare)


@pytest.mark.slow
def test_heads_that_make_no_graph_are_caught(python):
    """In one process for all, as each would import PyTorch's tracers again."""
    names = {head.__name__ for check in GRAPHS for head in BROKEN[check]}
    code = (
        "import json, broken_heads; from argus_core.testing.heads.graphs import graph_faults; "
        "from argus_core.testing.heads.subject import Subject; "
        f"heads = [getattr(broken_heads, name) for name in {sorted(names)}]; "
        "print(json.dumps({head.__name__: graph_faults(Subject.of(head)) for head in heads}))"
    )
    done = python("-c", code, PYTHONPATH=str(Path(__file__).parents[1]))
    faults = json.loads(done.stdout)
    assert all(faults[head.__name__][check] for check in GRAPHS for head in BROKEN[check]), faults
    assert "cannot be exported for every size" in faults["FreezesItsGrid"]["exports"]
    assert not faults["FreezesItsGrid"]["compiles"] and not faults["BreaksTheGraph"]["exports"]


def test_a_head_in_a_file_is_found_by_another_process(tmp_path):
    (tmp_path / "rude.py").write_text(
        "from broken_heads import Good\nprint('good day')\n\n\nclass Mine(Good):\n    pass\n"
    )
    fault = reason("import_hygiene", load_object(f"{tmp_path}/rude.py:Mine"))
    assert "prints 'good day" in fault


def test_import_side_effects_are_caught(tmp_path, monkeypatch):
    (tmp_path / "rude_module.py").write_text(
        "import os, warnings, torch\nprint('hello')\nos.environ['A_BROKEN_HEAD'] = '1'\n"
        "warnings.simplefilter('ignore')\ntorch.set_num_threads(torch.get_num_threads() + 1)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    rude = type("Rude", (Good,), {"__module__": "rude_module"})
    fault = reason("import_hygiene", rude)
    assert all(word in fault for word in ("hello", "environment", "warning filters", "thread count")), fault


def test_options_reach_the_head():
    assert "layer 2" in reason("reads_every_cell", Good, {"layers": [2, -1]})
    assert "did you mean 'width'" in reason("needs", Good, {"widht": 8})


def test_every_check_has_a_head_that_it_catches():
    assert {check for check, _ in PLANTED} | {"import_hygiene"} == set(HEAD_CHECKS)


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
            "from broken_heads import Good\nfrom argus_core.testing.suite import head_suite\n"
            f"test_head = head_suite(Good, {arguments})\n"
        )
        path = os.pathsep.join([str(Path(__file__).parents[1]), *filter(None, sys.path)])
        done = python(
            "-m", "pytest", "-k", "needs or options", "-p", "no:cacheprovider", str(tmp_path), PYTHONPATH=path
        )
        return done.stdout

    return run


def test_a_broken_promise_breaks_no_other():
    dear = {*GRAPHS, "import_hygiene"}
    outcomes = HEAD_KIT.outcomes(ClimbsItsLoss, only=[check for check in HEAD_CHECKS if check not in dear])
    assert [outcome.check for outcome in outcomes if outcome.reason] == ["learns"]


def test_the_dictionary_names_every_check_and_needs_no_pytest(python):
    code = (
        "import json, sys; from argus_core.testing.suite import check_task; "
        "print(json.dumps([check_task('classify'), [each for each in ('pytest', 'timm') if each in sys.modules]]))"
    )
    faults, imported = json.loads(python("-c", code).stdout)
    assert faults == dict.fromkeys(TASK_CHECKS, "") and not imported


def test_expected_failures_of_the_dictionary_are_as_strict():
    only = ["needs", "learns", "options"]
    expected = {"needs": "of no matter", "learns": "it climbs"}
    outcomes = {outcome.check: outcome for outcome in HEAD_KIT.outcomes(ClimbsItsLoss, None, expected, only)}
    assert [outcomes[name].result for name in only] == ["unexpected pass", "expected failure", "ok"]
    assert "take the expectation out" in outcomes["needs"].reason and not outcomes["learns"].reason
    assert "60 steps" in outcomes["learns"].fault and outcomes["learns"].promise.startswith("Fitted or within")
    with pytest.raises(ArgusError, match="did you mean 'learns'"):
        check_head(Good, expected_failures={"learn": "it is slow"})


def test_the_former_name_of_the_table_still_works():
    with pytest.warns(ArgusDeprecationWarning, match="use HEAD_CHECKS"):
        assert argus_core.testing.CHECKS is HEAD_CHECKS


def test_the_page_lists_every_check_with_its_promise():
    page = (Path(__file__).parents[2] / "docs/conformance.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `(\w+)` \| (.*) \|$", page, re.M)
    live = [(name, promise(check)) for kit in KITS.values() for name, check in kit.checks.items()]
    assert [(name, text.replace("`", "``")) for name, text in listed] == live


def test_every_promise_is_one_line():
    checks = [check for kit in KITS.values() for check in kit.checks.values()]
    assert all(check.__doc__ == promise(check) and check.__doc__.endswith(".") for check in checks)


class SaysNoTask(Head):
    """It does not say what it solves."""

    def forward(self, features):
        return features.map


class LeavesEarly(Good):
    """Its forward pass ends the process, as if all were well."""

    def forward(self, features):
        sys.exit(0)


class LeavesAtOnce(Good):
    """Its constructor does."""

    def __init__(self, info, task):
        super().__init__(info, task)
        sys.exit(0)


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (SaysNoTask, "SaysNoTask does not say which task it solves: add `solves = Segment`"),
        (LeavesEarly, r"SystemExit: sys.exit\(0\) at .*test_kit.py:\d+"),
        (LeavesAtOnce, r"cannot be made with no options: SystemExit: sys.exit\(0\) at .*test_kit.py:\d+"),
    ],
)
def test_what_a_head_forgets_or_ends_is_a_fault(head, message):
    assert re.search(message, reason("any_size", head))
