"""Plugins: all are asked, and one that is broken is reported and left out."""

from __future__ import annotations

import sys

import pytest

from argus_core.hooks import load_plugins

HEADER = "from argus_core.hooks import hookimpl\n\n\n@hookimpl\n"
BROKEN = {
    "raises": ("raise RuntimeError('on purpose')", "on purpose"),
    "leaves": ("raise SystemExit(1)", "SystemExit"),
    "misspelt": (HEADER + "def argus_dataset(): ...\n", "argus_dataset"),
    "misnamed": (HEADER + "def arena_started(runs): ...\n", "runs"),
}


@pytest.fixture(autouse=True)
def _no_debugging(monkeypatch):
    monkeypatch.delenv("ARGUS_DEBUG", raising=False)


@pytest.fixture
def plugin(install, monkeypatch):
    """``plugin(name, source)``: install a package ``name`` that offers the plugin module ``name_plugin``."""

    def add(name, source):
        monkeypatch.delitem(sys.modules, f"{name}_plugin", raising=False)
        folder = install(name, "argus.plugins", {name: f"{name}_plugin"})
        (folder / f"{name}_plugin.py").write_text(source)

    return add


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_plugin_is_reported_and_harms_no_other(plugin, name, tmp_path):
    source, reason = BROKEN[name]
    plugin(name, source)
    loaded = load_plugins()
    (key,) = loaded.failed
    assert f"{name} 1.2" in key and reason in loaded.failed[key]
    assert name not in {entry.name for entry in loaded.loaded}
    assert {"coco", "scenes"} <= set(loaded.datasets())
    loaded.hook.arena_started(run=tmp_path, config={})


def test_a_stranger_offers_data_and_hears_of_runs(plugin, tmp_path):
    plugin(
        "stranger",
        HEADER + "def argus_datasets():\n    return {'mine': dict}\n\n\nheard = []\n\n\n"
        "@hookimpl\ndef arena_logged(record):\n    heard.append(record)\n",
    )
    loaded = load_plugins()
    assert loaded.datasets()["mine"] is dict
    loaded.hook.arena_logged(run=tmp_path, record={"step": 1})
    assert loaded.manager.get_plugin(next(str(e) for e in loaded.loaded if e.name == "stranger")).heard == [{"step": 1}]
    assert not loaded.failed


def test_plugins_of_one_name_are_both_asked(plugin, install):
    plugin("first", HEADER + "def argus_datasets():\n    return {'one': dict}\n")
    folder = install("second", "argus.plugins", {"first": "second_plugin"})
    (folder / "second_plugin.py").write_text(HEADER + "def argus_datasets():\n    return {'two': dict}\n")
    assert {"one", "two"} <= set(load_plugins().datasets())


def test_a_data_set_name_taken_twice_is_reported(plugin):
    plugin("zebra", HEADER + "def argus_datasets():\n    return {'coco': dict}\n")
    loaded = load_plugins()
    assert loaded.datasets()["coco"] is not dict
    assert "two plugins" in loaded.failed["data set 'coco'"]


def test_an_offer_that_raises_takes_no_other_with_it(plugin):
    plugin("stranger", HEADER + "def argus_datasets():\n    return 1 / 0\n")
    loaded = load_plugins()
    assert {"coco", "scenes"} <= set(loaded.datasets())
    (reason,) = loaded.failed.values()
    assert "ZeroDivisionError" in reason
