"""Plugins: all are asked, and one that is broken is reported and left out."""

from __future__ import annotations

import re
import sys

import pytest

from argus_core.plugins.hooks import load_plugins

HEADER = "from argus_core.plugins.hooks import hookimpl\n\n\n@hookimpl\n"
WRAPPER = "def arena_started(run):\n    return (yield)\n"
BROKEN = {
    "raises": ("raise RuntimeError('on purpose')", "on purpose"),
    "leaves": ("raise SystemExit(1)", "SystemExit"),
    "misspelt": (HEADER + "def argus_dataset(): ...\n", "argus_dataset"),
    "misnamed": (HEADER + "def arena_started(runs): ...\n", "unknown parameter of hook 'arena_started': 'runs'"),
    "named": (HEADER + "def arena_started(*, run, runs): ...\n", "did you mean 'run'"),
    "twice": (HEADER + "def a(): ...\n\n\n@hookimpl\ndef arena_start(): ...\n", "unknown hook 'a'; known: "),
    "awaits": (HEADER + "async def arena_started(run): ...\n", "arena_started is an async function"),
    "wraps": (HEADER.replace("impl\n\n\n@hookimpl", "impl\n\n\n@hookimpl(wrapper=True)") + WRAPPER, "is a wrapper"),
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


def test_a_class_or_an_object_seen_before_is_no_plugin(plugin, install):
    plugin(
        "stranger",
        "from argus_core import hookimpl\nclass A:\n    @hookimpl\n    def arena_started(self): ...\na = A()\n",
    )
    for package, name, value in (("first", "A", "A"), ("second", "a", "a"), ("third", "z", "a")):
        install(package, "argus.plugins", {name: f"stranger_plugin:{value}"})
    failed = load_plugins().failed
    known = "a = stranger_plugin:a (second 1.2)"
    assert failed == {
        "A = stranger_plugin:A (first 1.2)": "is the class A; name an instance of it or a module as the plugin",
        "z = stranger_plugin:a (third 1.2)": f"is the same object as {known}; declare it once",
    }


ORDER = """
from argus_core import hookimpl
heard = []
class Plugin:
    def __init__(self, name): self.name = name
class First(Plugin):
    @hookimpl(tryfirst=True)
    def arena_logged(self, **everything): heard.append((self.name, sorted(everything)))
class Last(Plugin):
    @hookimpl(trylast=True)
    def arena_logged(self, *, record, more=1): heard.append((self.name, record, more))
class Plain(Plugin):
    @hookimpl
    def arena_logged(self, record={}, run=None): heard.append((self.name, record, run.name))
    @hookimpl(optionalhook=True)
    def arena_of_tomorrow(self, anything): ...
a, b, c, d = Last("a"), Plain("b"), Plain("c"), First("d")
"""


def test_plugins_are_told_in_order_and_get_what_they_have_parameters_for(plugin, install, tmp_path):
    plugin("stranger", ORDER)
    for name in "cadb":
        install(f"from-{name}", "argus.plugins", {name: f"stranger_plugin:{name}"})
    plugins = load_plugins()
    plugins.tell("arena_logged", run=tmp_path / "r", record={"step": 1})
    assert not plugins.failed
    heard = sys.modules["stranger_plugin"].heard
    assert heard == [("d", ["record", "run"]), ("b", {"step": 1}, "r"), ("c", {"step": 1}, "r"), ("a", {"step": 1}, 1)]


@pytest.mark.parametrize("hook", ["arena_finished", "argus_datasets"])
def test_debugging_raises_what_a_hook_raises(plugin, monkeypatch, tmp_path, hook):
    plugin("stranger", f"{HEADER}def {hook}():\n    raise RuntimeError('on purpose')\n")
    plugins = load_plugins()
    monkeypatch.setenv("ARGUS_DEBUG", "1")
    with pytest.raises(RuntimeError, match="on purpose"):
        plugins.datasets() if hook == "argus_datasets" else plugins.tell(hook, run=tmp_path, results={})


def test_calls_are_traced_where_that_is_asked_for(plugin, monkeypatch, capsys, tmp_path):
    plugin("stranger", f"{HEADER}def arena_finished(results):\n    1 / len(results)\n")
    plugins = load_plugins()
    plugins.tell("arena_finished", run=tmp_path, results={"fcos": {"metrics": {}}})
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("ARGUS_TRACE_HOOKS", "1")
    name = re.escape("stranger = stranger_plugin (stranger 1.2)")
    plugins.tell("arena_finished", run=tmp_path, results={"fcos": {"metrics": {}}})
    found = capsys.readouterr().err
    assert re.search(
        rf"^hook arena_finished\(results=\{{'fcos': .*\}}\) of {name} returned None in [\d.]+ ms$", found, re.M
    )
    plugins.tell("arena_finished", run=tmp_path, results={})
    assert re.search(
        rf"of {name} raised ZeroDivisionError: division by zero in [\d.]+ ms$", capsys.readouterr().err, re.M
    )
