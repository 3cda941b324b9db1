"""docs/versions.md holds: names go after a warning and in time, and new ones raise the version of the contract."""

from __future__ import annotations

import re
import subprocess
import sys
import warnings
from importlib import import_module

import pytest

import argus_core
from api_rules import REGISTRIES, deprecations, faults, held_names, moved_names, outlived, registered, too_soon
from argus_core.common.deprecation import RENAMED, ArgusDeprecationWarning, Moved, moved, renamed
from argus_core.registry import HEADS
from public_api import ROOT, current, held

GONE = Moved("NEW", since="0.2", removed_in="0.4")


def test_the_api_changed_by_the_rules_only():
    found = faults(held(), current(), moved_names())
    assert not found, "\n".join(found)


def test_registered_names_go_by_the_rules_only():
    here, renames = registered(), {kind: set(table) for kind, table in RENAMED.items()}
    for kind, names in held_names().items():
        lost = set(names) - {*here[kind], *renames[kind]}
        assert not lost, (
            f"{kind} {sorted(lost)} went without a line in argus_core/common/deprecation.py: see docs/versions.md"
        )
        new = set(here[kind]) - set(names)
        assert not new, f"{kind} {sorted(new)} came: run `python tests/api_rules.py --write`"


def api(version, *names):
    return {"api_version": version, "names": {"m": list(names)}}


@pytest.mark.parametrize(
    ("before", "after", "fault"),
    [
        (api("1.0", "a"), api("1.0", "a"), None),
        (api("1.0", "a"), api("1.0"), "m.a is gone without"),
        (api("1.0", "a"), api("1.1", "b"), "m.a is gone without"),
        (api("1.0", "a"), api("2.0", "b"), None),
        (
            api("1.0", "a"),
            api("1.0", "a", "b"),
            r"m\.b came: raise the minor of __api_version__.*then run `python tests/p",
        ),
        (api("1.0", "a"), api("1.1", "a", "b"), None),
        (api("1.9", "a"), api("1.10", "a", "b"), None),
        (api("1.1", "a"), api("1.0", "a"), "went back from 1.1 to 1.0"),
        (api("1.0", "old"), api("1.0"), None),
    ],
)
def test_the_rule_itself(before, after, fault):
    found = faults(before, after, {("m", "old"): GONE})
    assert len(found) == (fault is not None)
    assert all(re.search(fault, one) for one in found)


@pytest.mark.parametrize(("what", "gone"), deprecations().items())
def test_what_is_deprecated_goes_in_time_and_not_too_soon(what, gone):
    assert not outlived(gone, argus_core.__version__), f"{what} was to be removed in {gone.removed_in}: remove it now"
    assert not too_soon(gone), f"{what} must stay two minor versions from {gone.since} on"


def test_those_rules_themselves():
    versions = ("0.2", "0.3.9", "0.4.0.dev1", "0.4.0", "1.0")
    assert [version for version in versions if outlived(GONE, version)] == ["0.4.0", "1.0"]
    ends = [("0.2", "0.3"), ("0.2", "0.4"), ("0.9", "0.10"), ("0.9", "0.11"), ("0.9", "1.0")]
    assert [too_soon(Moved("x", *pair)) for pair in ends] == [True, False, True, False, False]


@pytest.mark.parametrize(("module", "name"), moved_names())
def test_moved_names_work_warn_and_are_not_listed(module, name):
    home = import_module(module)
    with pytest.warns(ArgusDeprecationWarning, match=rf"{re.escape(module)}\.{name} is deprecated since .* gone in"):
        assert getattr(home, name) is not None
    assert name not in home.__all__ and name not in vars(home)


def test_renamed_names_work_and_warn():
    for kind, name in [(kind, name) for kind, table in RENAMED.items() for name in table]:
        assert name not in registered()[kind]
        with pytest.warns(ArgusDeprecationWarning, match=re.escape(name)):
            REGISTRIES[kind].load(name)


def test_every_kind_of_name_can_be_renamed(monkeypatch):
    assert set(RENAMED) == set(REGISTRIES)
    for kind, old, new in (
        ("task", "boxes", "detect"),
        ("backbone", "mini", "tiny"),
        ("head", "detect.f", "detect.fcos"),
    ):
        monkeypatch.setitem(RENAMED[kind], old, Moved(new, "0.2", "0.4"))
        with pytest.warns(ArgusDeprecationWarning, match=f"{kind} '{old}' is deprecated .* use {new}"):
            assert REGISTRIES[kind].find(old).name == new
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert renamed("head", "detect.fcos") is None and HEADS.find("fcos").name == "detect.fcos"


def test_moved_names_are_found_where_they_went():
    answers = moved(
        "argus_core.errors", {"Fault": Moved("ArgusError", "0.2", "0.4"), "Far": Moved("math:pi", "0.2", "0.4")}
    )
    with pytest.warns(
        ArgusDeprecationWarning, match=r"argus_core\.errors\.Fault is .* since argus-perception 0\.2"
    ) as told:
        assert answers("Fault") is argus_core.ArgusError
    assert told[0].filename == __file__  # the warning names who uses the old name
    with pytest.warns(ArgusDeprecationWarning, match="use math:pi"):
        assert 3 < answers("Far") < 4
    with pytest.raises(AttributeError, match=r"module 'argus_core\.errors' has no attribute 'Nothing'"):
        answers("Nothing")


def test_warnings_are_seen_by_default_and_name_the_line(tmp_path):
    (tmp_path / "old.py").write_text(
        "from argus_core.common.deprecation import Moved, moved\nNEW = 1\n"
        '__getattr__ = moved(__name__, {"OLD": Moved("NEW", "0.2", "0.4")})\n'
    )
    (tmp_path / "user.py").write_text("def use():\n    from old import OLD\n    return OLD\n")
    (tmp_path / "main.py").write_text("import user\nassert user.use() == 1\n")
    done = subprocess.run([sys.executable, str(tmp_path / "main.py")], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert re.search(r"user\.py:2: ArgusDeprecationWarning: old\.OLD is deprecated", done.stderr), done.stderr


def test_the_page_says_what_holds():
    page = (ROOT / "docs/versions.md").read_text(encoding="utf-8")
    assert f'"{argus_core.__api_version__.split(".")[0]}.0"' in page and "two minor versions" in page
    assert re.fullmatch(r"\d+\.\d+", argus_core.__api_version__)
