"""Names from package metadata: found without importing, and each failure stays with its own name."""

from __future__ import annotations

import importlib.metadata
import os
import shutil

import pytest

from argus_core.errors import ArgusError
from argus_core.head import Head
from argus_core.registry import BACKBONES, HEADS, TASKS, Registry
from argus_core.registry import distributions as metadata
from argus_core.saving.build import build_head, head_class, task_from_dict, task_to_dict
from argus_core.tasks.detect import Detect
from argus_core.tokens import FeatureInfo, Needs
from argus_heads.fcos_detect import FCOS
from broken_heads import Good

INFO = FeatureInfo.vit(48)
BAD_MODULES = {
    "bad_import": ("import a_package_nobody_has", "ModuleNotFoundError"),
    "bad_exit": ("raise SystemExit(3)", "SystemExit"),
    "bad_syntax": ("def", "SyntaxError"),
    "bad_attribute": ("", "AttributeError"),
}


@pytest.fixture
def by_hand():
    """Register heads for one test only."""
    names = []

    def register(name, target):
        HEADS.register(name, target)
        names.append(name)

    yield register
    for name in names:
        HEADS.unregister(name)


def test_short_and_full_names_lead_to_the_same_class():
    assert HEADS.load("fcos") is HEADS.load("detect.fcos") is FCOS
    assert TASKS.load("detect") is Detect
    assert "tiny" in {entry.name for entry in BACKBONES.entries()}


def test_an_unknown_name_suggests_the_nearest():
    with pytest.raises(ArgusError, match=r"unknown head 'detect\.fcoss'; did you mean 'detect\.fcos'"):
        HEADS.find("detect.fcoss")
    with pytest.raises(ArgusError, match=r"did you mean 'classify\.linear' or 'depth\.linear' or 'segment\.linear'"):
        HEADS.find("linera")
    with pytest.raises(ArgusError, match="known: none"):
        Registry("argus.nobody_uses_this", "thing").find("x")


@pytest.mark.parametrize("module", BAD_MODULES)
def test_a_head_that_cannot_be_imported_harms_only_itself(install, monkeypatch, module):
    monkeypatch.delenv("ARGUS_DEBUG", raising=False)
    source, kind = BAD_MODULES[module]
    folder = install("stranger", "argus.heads", {"detect.bad": f"{module}:Head"})
    (folder / f"{module}.py").write_text(source)
    assert "detect.bad" in {entry.name for entry in HEADS.entries()}
    with pytest.raises(ArgusError, match=rf"detect\.bad .*stranger 1\.2.*{kind}.*ARGUS_DEBUG=1"):
        HEADS.load("bad")
    assert HEADS.load("detect.fcos") is FCOS


def test_debugging_shows_the_error_itself(install, monkeypatch):
    monkeypatch.setenv("ARGUS_DEBUG", "1")
    install("stranger", "argus.heads", {"detect.bad": "a_package_nobody_has:Head"})
    with pytest.raises(ModuleNotFoundError):
        HEADS.load("bad")


def test_a_name_of_two_packages_is_refused_and_names_both(install):
    install("stranger", "argus.heads", {"detect.fcos": "stranger:Mine"})
    with pytest.raises(ArgusError, match=r"provided twice: .*argus-perception.*stranger 1\.2"):
        HEADS.find("fcos")
    assert HEADS.load("detect.split_tower")


def test_a_short_name_of_two_tasks_is_ambiguous(install):
    install("stranger", "argus.heads", {"segment.fcos": "stranger:Mine"})
    with pytest.raises(ArgusError, match=r"ambiguous: detect\.fcos, segment\.fcos"):
        HEADS.find("fcos")
    assert HEADS.load("detect.fcos") is FCOS


def test_names_by_hand_live_beside_packages_and_never_replace_them(by_hand):
    by_hand("detect.good", Good)
    assert HEADS.load("good") is Good
    with pytest.raises(ArgusError, match=r"taken by detect\.good = broken_heads:Good \(registered by hand\)"):
        HEADS.register("detect.good", FCOS)
    with pytest.raises(ArgusError, match=r"taken by detect\.fcos"):
        HEADS.register("detect.fcos", FCOS)


def test_a_cell_that_is_run_again_replaces_what_it_registered(by_hand):
    first, second = (type("Good", (Good,), {"__module__": "__main__", "__qualname__": "Good"}) for _ in range(2))
    by_hand("detect.good", first)
    HEADS.register("detect.good", second, origin="file good.py:Good")
    assert HEADS.load("good") is second
    assert str(HEADS.find("good")) == "detect.good = __main__:Good (file good.py:Good)"


@pytest.mark.parametrize(
    ("metadata", "origin"),
    [
        ("Metadata-Version: 2.1\nName: My-Heads\nVersion: 2\n\nName: text\nVersion: 3\n", "My-Heads 2"),
        ("Version:2 \r\nName:  my.heads\t\r\n\r\nVersion: 3\r\n", "my.heads 2"),
        ("Name: my-heads\nDescription: long\n        Version: 3\n", "my-heads"),
        ("Name:\nVersion:\n", "unknown distribution"),
    ],
)
def test_names_and_versions_are_those_of_the_headers(install, metadata, origin):
    folder = install("my_heads", "argus.heads", {"detect.mine": "nowhere:Mine"})
    (folder / "my_heads-1.2.dist-info/METADATA").write_bytes(metadata.encode())
    assert HEADS.find("detect.mine").origin == origin


def test_of_two_versions_of_a_distribution_the_first_on_the_path_counts(install, tmp_path, monkeypatch):
    install("my-heads", "argus.heads", {"detect.mine": "second:Mine"})
    first = tmp_path / "first" / "My_Heads-3.dist-info"
    first.mkdir(parents=True)
    (first / "METADATA").write_text("Name: My_Heads\nVersion: 3\n")
    (first / "entry_points.txt").write_text("[argus.heads]\ndetect.mine = first:Mine\n")
    monkeypatch.syspath_prepend(str(first.parent))
    assert str(HEADS.find("detect.mine")) == "detect.mine = first:Mine (My_Heads 3)"


def test_what_was_not_registered_by_hand_cannot_be_removed():
    with pytest.raises(ArgusError, match=r"unknown head registered by hand 'detect\.fcos'; known: none"):
        HEADS.unregister("detect.fcos")


def full_names():
    return {entry.name for entry in HEADS.entries()}


@pytest.mark.parametrize("name", ["other", "detect.other", "my-heads", "My_Heads"])
def test_only_those_strangers_take_part_that_are_named(install, monkeypatch, name):
    install("my-heads", "argus.heads", {"detect.mine": "a:B", "detect.other": "a:C"})
    everything = full_names()
    monkeypatch.setenv("ARGUS_PLUGINS", "")
    own = full_names()
    assert everything - own == {"detect.mine", "detect.other"} and "detect.fcos" in own
    monkeypatch.setenv("ARGUS_PLUGINS", f" {name} ,unknown")
    expected = {"other": set(), "detect.other": {"detect.other"}}.get(name, {"detect.mine", "detect.other"})
    assert full_names() - own == expected
    monkeypatch.setenv("ARGUS_DISABLE", "detect.fcos,MY.heads")
    assert own - full_names() == {"detect.fcos"}


def test_a_disabled_name_is_told_from_an_unknown_one(install, monkeypatch):
    install("stranger", "argus.heads", {"detect.mine": "a:B"})
    monkeypatch.setenv("ARGUS_PLUGINS", "somebody")
    with pytest.raises(ArgusError) as caught:
        HEADS.find("mine")
    assert str(caught.value) == (
        "head detect.mine = a:B (stranger 1.2) is disabled by ARGUS_PLUGINS=somebody, which does not name it; "
        "change or unset that variable"
    )
    monkeypatch.setenv("ARGUS_DISABLE", "detect.fcos,tiny")
    with pytest.raises(
        ArgusError, match=r"FCOS \(argus-perception .*\) is disabled by ARGUS_DISABLE=detect\.fcos,tiny;"
    ):
        HEADS.load("fcos")
    with pytest.raises(ArgusError, match=r"backbone tiny = .* is disabled by ARGUS_DISABLE"):
        BACKBONES.load("tiny")


def test_an_object_by_hand_may_stand_in_for_a_disabled_one(by_hand, monkeypatch):
    monkeypatch.setenv("ARGUS_DISABLE", "detect.fcos")
    monkeypatch.setenv("ARGUS_PLUGINS", "")
    by_hand("detect.fcos", Good)
    assert HEADS.load("fcos") is Good


def test_what_is_no_head_is_refused(by_hand):
    by_hand("detect.nonsense", dict)
    with pytest.raises(ArgusError, match="not a subclass"):
        head_class("nonsense")


def test_a_built_head_remembers_its_name_and_all_its_options():
    head = build_head("fcos", INFO, Detect.small(), {"width": 16, "depth": 1, "layers": [2, -1]})
    assert isinstance(head, Head)
    assert (head.name, head.needs) == ("detect.fcos", Needs(layers=(2, -1)))
    assert head.options == {
        "width": 16,
        "depth": 1,
        "pyramid": "full",
        "layers": (2, -1),
        "stride": None,
        "fuse": "stack",
    }


def test_wrong_options_layers_and_tasks_are_refused(by_hand):
    class Elsewhere(Good):
        solves = type("Other", (Detect,), {"name": "other"})

    by_hand("other.elsewhere", Elsewhere)
    with pytest.raises(ArgusError, match="did you mean 'width'"):
        build_head("fcos", INFO, Detect.small(), {"widht": 16})
    with pytest.raises(ArgusError, match="layer 12 does not exist"):
        build_head("fcos", INFO, Detect.small(), {"width": 16, "layers": [12]})
    with pytest.raises(ArgusError, match="solves other, the data has detect"):
        build_head("elsewhere", INFO, Detect.small())


def test_a_task_survives_plain_values():
    task = Detect(classes=("cat", "traffic light"))
    assert task_from_dict(task_to_dict(task)) == task
    with pytest.raises(ArgusError, match="unknown option of task 'detect'"):
        task_from_dict({"task": "detect", "classes": ["cat"], "ignore": 255})


def test_the_metadata_of_distributions_are_read_once(install, monkeypatch):
    install("stranger", "argus.heads", {"detect.mine": "nowhere:Mine"})
    scans = []
    monkeypatch.setattr(metadata, "distributions", lambda: scans.append(1) or importlib.metadata.distributions())
    for _ in range(3):
        assert HEADS.find("detect.mine") and TASKS.load("detect") and BACKBONES.entries()
    assert len(scans) == 1


def test_a_package_that_comes_or_goes_is_noticed(install):
    install("stranger", "argus.heads", {"detect.mine": "nowhere:Mine"})
    assert HEADS.find("detect.mine") and HEADS.find("detect.fcos")
    folder = install("other", "argus.heads", {"detect.other": "nowhere:Other"})
    os.utime(folder, ns=(1, 1))  # clocks of file systems are coarse
    assert HEADS.find("detect.other")
    shutil.rmtree(folder / "stranger-1.2.dist-info")
    os.utime(folder, ns=(2, 2))
    with pytest.raises(ArgusError, match="unknown head"):
        HEADS.find("detect.mine")
