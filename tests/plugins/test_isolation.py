"""A stranger's package that misbehaves harms itself alone: the rest lists, loads and is told what is wrong."""

from __future__ import annotations

import json
import re
import sys
from importlib.metadata import entry_points, version
from pathlib import Path

import pytest

from argus_core.errors import ArgusError
from argus_core.plugins import inventory
from argus_core.plugins.hooks import load_plugins
from argus_core.plugins.inventory import take_inventory
from argus_core.registry import HEADS
from argus_core.saving.build import head_class

HERE = version("argus-perception")
BUILT_IN = {point.name for point in entry_points(group="argus.heads")}
HEAD = "from argus_core import Detect, Head\n\n\nclass Mine(Head):\n    solves = Detect\n"
HOOK = "from argus_core import hookimpl\n\n\n@hookimpl\n"
GOOD_HOOKS = f"""{HOOK}def argus_datasets():
    return {{"good": dict}}


heard = []


@hookimpl
def arena_started(run, config):
    heard.append(config)
"""
DEBUG = "; set ARGUS_DEBUG=1 for the traceback"


def package(folder, name, points, files=(), requires=(), release="1.2"):
    """A package as pip leaves it: its modules and its metadata."""
    folder.mkdir(exist_ok=True)
    info = folder / f"{name.replace('-', '_')}-{release}.dist-info"
    info.mkdir()
    lines = [f"Name: {name}", f"Version: {release}", *(f"Requires-Dist: {each}" for each in requires)]
    (info / "METADATA").write_text("Metadata-Version: 2.1\n" + "\n".join(lines) + "\n\nA description.\n")
    groups = [f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in each.items()) for group, each in points.items()]
    (info / "entry_points.txt").write_text("\n".join(groups))
    for module, source in dict(files).items():
        (folder / f"{module}.py").write_text(source)
    return info


def good(folder):
    points = {"argus.heads": {"detect.good": "good_stranger:Mine"}, "argus.plugins": {"good": "good_stranger_hooks"}}
    package(folder, "good-stranger", points, {"good_stranger": HEAD, "good_stranger_hooks": GOOD_HOOKS})


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder on the path that holds one well-behaved package."""
    for variable in ("ARGUS_DEBUG", "ARGUS_PLUGINS", "ARGUS_DISABLE", "ARGUS_TRACE_HOOKS"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    good(tmp_path / "site")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    yield tmp_path / "site"
    for name in [name for name in sys.modules if "stranger" in name]:
        del sys.modules[name]


@pytest.fixture
def others_work(arena):
    """What must hold whatever one stranger does."""

    def check():
        code, out, err = arena("heads")
        assert (code, err) == (0, "")
        assert {*BUILT_IN, "detect.good"} <= {line.split()[0] for line in out.splitlines()}
        assert HEADS.load("detect.good").__module__ == "good_stranger"
        assert HEADS.load("split_tower")
        plugins = load_plugins()
        assert {"coco", "scenes", "good"} <= set(plugins.datasets())

    return check


def broken_head(site, source, requires=()):
    package(site, "stranger", {"argus.heads": {"detect.bad": "bad_stranger:Mine"}}, {"bad_stranger": source}, requires)
    return str(site / "bad_stranger.py")


BROKEN = {
    "raises": ("\nraise RuntimeError('on purpose')\n", "RuntimeError: on purpose at {file}:2"),
    "lacks a package": ("import nobody_has\n", "ModuleNotFoundError: No module named 'nobody_has' at {file}:1"),
    "syntax error": ("a = 1\nclass Mine(:\n", "SyntaxError: invalid syntax at {file}:2"),
    "leaves": ("import sys\nsys.exit('no licence')\n", "SystemExit: sys.exit('no licence') at {file}:2"),
    "leaves silently": ("raise SystemExit\n", "SystemExit: sys.exit() at {file}:1"),
    "lacks the object": ("", "AttributeError: module 'bad_stranger' has no attribute 'Mine' ({file})"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_head_whose_import_fails(site, arena, others_work, case):
    source, cause = BROKEN[case]
    file = broken_head(site, source)
    cause = f"could not be imported: {cause.format(file=file)}{DEBUG}"
    name = "detect.bad = bad_stranger:Mine (stranger 1.2)"
    others_work()
    assert arena("train --head bad --data scenes: --dry-run") == (2, "", f"error: {name} {cause}\n")
    code, out, _ = arena("plugins")
    assert code == 1
    assert f"\nstranger 1.2\n  heads: detect.bad\n  FAILED head {name}: {cause}\n" in out
    assert out.count("FAILED") == 1


def test_a_failed_import_names_requirements_that_are_not_met(site, others_work):
    wanted = ("nobody-has-this>=2,<3", "numpy>=999", "pillow", 'other; python_version < "3"', 'fast; extra == "gpu"')
    wanted += ("is this a requirement?", "numpy===odd; nothing == 'is'")
    broken_head(site, "import nobody_has_this\n", wanted)
    with pytest.raises(ArgusError) as caught:
        HEADS.load("bad")
    advice = (
        f"stranger requires nobody-has-this<3,>=2 (not installed), numpy>=999 ({version('numpy')} is installed): "
        "pip install 'nobody-has-this<3,>=2' 'numpy>=999'"
    )
    assert str(caught.value).endswith(f"; {advice}{DEBUG}")
    others_work()
    (stranger,) = (each for each in take_inventory(load=False).packages if each.name == "stranger")
    assert (stranger.failed, stranger.warnings) == ({}, [advice])


def test_debugging_shows_the_error_itself(site, monkeypatch):
    broken_head(site, "import sys\nsys.exit(3)\n")
    monkeypatch.setenv("ARGUS_DEBUG", "1")
    with pytest.raises(SystemExit):
        HEADS.load("bad")


def test_interrupting_an_import_interrupts(site):
    broken_head(site, "raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        HEADS.load("bad")


def test_a_package_made_for_another_version_is_refused(site, arena, others_work):
    points = {"argus.heads": {"detect.bad": "bad_stranger:Mine"}, "argus.plugins": {"bad": "bad_stranger"}}
    package(site, "stranger", points, {"bad_stranger": "raise RuntimeError('imported')"}, ["argus_perception>=99"])
    reason = (
        f"requires argus_perception>=99, but argus-perception {HERE} is installed; "
        f"pip install -U 'argus_perception>=99', or a version of stranger made for {HERE}"
    )
    others_work()
    with pytest.raises(ArgusError) as caught:
        HEADS.load("bad")
    assert str(caught.value) == f"detect.bad = bad_stranger:Mine (stranger 1.2) is refused: stranger {reason}"
    for line in ("plugins", "plugins --no-import"):
        code, out, _ = arena(line)
        assert code == 1
        assert f"  FAILED stranger 1.2: {reason}\n" in out and out.count("FAILED") == 1


def test_a_name_of_two_packages(site, arena, others_work, monkeypatch):
    package(site, "stranger", {"argus.heads": {"detect.fcos": "bad_stranger:Mine"}}, {"bad_stranger": HEAD})
    others_work()
    reason = (
        f"is provided twice: detect.fcos = argus_heads.fcos_detect:FCOS (argus-perception {HERE}); "
        "detect.fcos = bad_stranger:Mine (stranger 1.2); "
        "uninstall all but one or leave them out, as by ARGUS_DISABLE=stranger"
    )
    assert arena("train --head fcos --data scenes: --dry-run") == (2, "", f"error: head 'detect.fcos' {reason}\n")
    code, out, _ = arena("plugins --no-import")
    assert code == 1 and f"  FAILED head detect.fcos: {reason}\n" in out and out.count("FAILED") == 1
    monkeypatch.setenv("ARGUS_DISABLE", "stranger")
    assert HEADS.load("fcos").__module__ == "argus_heads.fcos_detect"


def test_what_an_import_prints_stays_out_of_standard_output(site, arena, others_work):
    broken_head(site, f"import sys\nprint('hello ' * 20)\nsys.stdout.buffer.flush()\n{HEAD}")
    others_work()
    _, out, _ = arena("plugins --json")
    (stranger,) = (each for each in json.loads(out)["packages"] if each["name"] == "stranger")
    assert stranger["warnings"] == [f"importing detect.bad printed '{'hello ' * 10}'..."]
    del sys.modules["bad_stranger"]
    assert arena("eval --help")[2] == ""
    assert HEADS.load("bad").__name__ == "Mine"
    code, out, err = arena("heads")
    assert (code, err.split()) == (0, ["hello"] * 20) and "hello" not in out


def test_a_slow_import_is_not_waited_for_and_remarked_on(site, others_work, monkeypatch):
    """Half a second stands for five: what is asserted is that nothing but ``arena plugins`` imports it at all."""
    broken_head(site, f"import time\ntime.sleep(0.5)\n{HEAD}")
    others_work()
    assert "bad_stranger" not in sys.modules
    monkeypatch.setattr(inventory, "SLOW", 0.4)
    (stranger,) = (each for each in take_inventory().packages if each.name == "stranger")
    (warning,) = stranger.warnings
    assert re.fullmatch(r"importing detect\.bad took [\d.]+ s; import what is slow inside functions", warning)
    assert not stranger.failed


def test_what_an_entry_leads_to_must_be_of_its_kind(site, arena):
    points = {
        "argus.heads": {"detect.bad": "builtins:dict", "segment.bad": "good_stranger:Mine"},
        "argus.tasks": {"bad": "builtins:dict"},
        "argus.protocols": {"bad": "builtins:dict"},
        "argus.backbones": {"bad": "math:pi"},
    }
    package(site, "stranger", points)
    code, out, _ = arena("plugins")
    faults = [line.strip() for line in out.splitlines() if "FAILED" in line]
    assert code == 1
    assert faults == [
        "FAILED head detect.bad = builtins:dict (stranger 1.2): is <class 'dict'>, not a subclass of argus_core.Head",
        "FAILED head segment.bad = good_stranger:Mine (stranger 1.2): solves 'detect'; name it detect.NAME",
        "FAILED backbone bad = math:pi (stranger 1.2): is 3.141592653589793, not a function that makes a Backbone",
        "FAILED task bad = builtins:dict (stranger 1.2): is <class 'dict'>, not a subclass of argus_core.Task",
        "FAILED protocol bad = builtins:dict (stranger 1.2): is <class 'dict'>, not a Protocol",
    ]


def test_a_protocol_that_fails_hides_no_other(site, arena):
    package(site, "stranger", {"argus.protocols": {"bad-1": "bad_stranger:P"}}, {"bad_stranger": "1 / 0\n"})
    code, out, _ = arena("protocols")
    assert code == 1
    assert "nyu-416-1 " in out
    cause = f"ZeroDivisionError: division by zero at {site / 'bad_stranger.py'}:1{DEBUG}"
    assert out.endswith(f"\nFAILED bad-1 = bad_stranger:P (stranger 1.2) could not be imported: {cause}\n")


@pytest.mark.parametrize("damage", [b"[argus.heads]\nno value here\n", b"\xff\xfe[argus.heads]\n"])
def test_damaged_metadata_harm_no_other(site, arena, others_work, damage):
    info = package(site, "stranger", {})
    (info / "entry_points.txt").write_bytes(damage)
    others_work()
    code, out, _ = arena("plugins --no-import")
    assert code == 1
    assert re.search(r"^FAILED metadata 1: entry points of stranger 1\.2 cannot be read: \w+Error: ", out, re.M)


def test_metadata_without_a_name_are_listed_as_such(site, arena, others_work):
    info = package(site, "stranger", {"argus.heads": {"detect.lost": "lost_stranger:Mine"}})
    (info / "METADATA").unlink()
    others_work()
    assert "detect.lost" in arena("heads")[1]
    assert "lost_stranger:Mine  (unknown distribution)" in arena("heads")[1]
    with pytest.raises(ArgusError, match=r"\(unknown distribution\) could not be imported: ModuleNotFoundError"):
        HEADS.load("lost")


def bad_hooks(site, source):
    package(site, "stranger", {"argus.plugins": {"bad": "bad_stranger"}}, {"bad_stranger": source})
    return "bad = bad_stranger (stranger 1.2)"


FAULTY = {
    "misspelt": (
        f"{HOOK}def argus_dataset(): ...\n",
        "unknown hook 'argus_dataset'; did you mean 'argus_datasets' or 'argus_layouts'?",
    ),
    "misnamed": (
        f"{HOOK}def arena_started(runs, config): ...\n",
        "unknown parameter of hook 'arena_started': 'runs'; did you mean 'run'?",
    ),
    "raises": ("\n1 / 0\n", f"could not be imported: ZeroDivisionError: division by zero at {{file}}:2{DEBUG}"),
}


@pytest.mark.parametrize("case", FAULTY)
def test_a_plugin_that_cannot_be_used(site, arena, others_work, case):
    source, reason = FAULTY[case]
    name = bad_hooks(site, source)
    others_work()
    code, out, _ = arena("plugins")
    assert code == 1
    assert (
        f"\nstranger 1.2\n  plugins: bad\n  FAILED plugin {name}: {reason.format(file=site / 'bad_stranger.py')}\n"
        in out
    )


def test_a_hook_that_raises_in_an_event(site, others_work, capsys, tmp_path):
    name = bad_hooks(site, f"{HOOK}def arena_started(run):\n    raise ValueError('no\\ndisk')\n")
    others_work()
    plugins = load_plugins()
    for _ in range(2):
        plugins.tell("arena_started", run=tmp_path, config={"heads": {}})
    reason = f"dropped, because arena_started raised ValueError: no disk at {site / 'bad_stranger.py'}:6"
    assert capsys.readouterr().err == f"warning: plugin {name}: {reason}\n"
    assert plugins.failed == {name: reason}
    assert sys.modules["good_stranger_hooks"].heard == [{"heads": {}}] * 2


def test_a_hook_that_leaves_or_alters_what_it_hears(site, others_work, tmp_path):
    source = f"{HOOK}def arena_started(config):\n    config['heads'].clear()\n    raise SystemExit(1)\n"
    bad_hooks(site, source)
    config = {"heads": {"fcos": {}}}
    others_work()
    load_plugins().tell("arena_started", run=tmp_path, config=config)
    assert config == {"heads": {"fcos": {}}} == sys.modules["good_stranger_hooks"].heard[0]


WANTED = "return a mapping of names to functions that open data"
OFFERS = {
    "raises": ("return 1 / 0", "argus_datasets raised ZeroDivisionError: division by zero at {file}:6"),
    "leaves": ("raise SystemExit(2)", "argus_datasets raised SystemExit: sys.exit(2) at {file}:6"),
    "forgets to return": ("pass", f"argus_datasets returned None; {WANTED}"),
    "offers no function": ("return {{'a': 1}}", f"argus_datasets returned {{{{'a': 1}}}}; {WANTED}"),
}


@pytest.mark.parametrize("case", OFFERS)
def test_a_hook_that_offers_no_data(site, arena, others_work, case):
    body, reason = (text.format(file=site / "bad_stranger.py") for text in OFFERS[case])
    name = bad_hooks(site, f"{HOOK}def argus_datasets():\n    {body}\n")
    others_work()
    code, out, _ = arena("plugins")
    assert code == 1
    assert f"  FAILED plugin {name}: {reason}\n" in out and out.count("FAILED") == 1


def test_a_hook_that_offers_no_layouts(site, arena, others_work):
    name = bad_hooks(site, f"{HOOK}def argus_layouts():\n    return {{'good': 1}}\n")
    others_work()
    code, out, _ = arena("plugins")
    assert code == 1 and out.count("FAILED") == 1
    wanted = "return a mapping of names to argus_core.data.Layout"
    assert f"  FAILED plugin {name}: argus_layouts returned {{'good': 1}}; {wanted}\n" in out


def test_no_stranger_takes_the_place_of_a_built_in_data_set(site, arena, others_work):
    source = f"{HOOK}def argus_datasets():\n    return {{'coco': dict}}\n"
    package(site, "stranger", {"argus.plugins": {"aaa": "bad_stranger"}}, {"bad_stranger": source})
    others_work()
    assert load_plugins().datasets()["coco"] is not dict
    code, out, _ = arena("plugins")
    assert code == 1
    assert out.endswith(
        "\nFAILED data set 'coco': offered by two plugins: "
        f"that of data = argus_data (argus-perception {HERE}) is used, "
        "that of aaa = bad_stranger (stranger 1.2) is not\n"
    )


def test_a_function_that_lacks_the_marker_is_remarked_on(site, arena, others_work):
    bad_hooks(site, "def arena_finished(run, results): ...\n\n\ndef arena_other(): ...\n")
    others_work()
    code, out, _ = arena("plugins")
    assert code == 0
    assert "\nstranger 1.2\n  hooks:\n    bad  none\n" in out
    assert "  warning: arena_finished of plugin bad lacks the marker @argus_core.hookimpl, so nobody calls it\n" in out


def test_the_selection_is_told(site, arena, monkeypatch):
    monkeypatch.setenv("ARGUS_DISABLE", "detect.good, detect.fcoss")
    monkeypatch.setenv("ARGUS_PLUGINS", "Good_Stranger")
    code, out, _ = arena("plugins --no-import")
    assert code == 0
    setting = "ARGUS_DISABLE=detect.good,detect.fcoss"
    assert f"\ngood-stranger 1.2\n  plugins: good\n  disabled: head detect.good, by {setting}\n" in out
    assert "\nwarning: ARGUS_DISABLE: unknown distribution or entry 'detect.fcoss'; did you mean 'detect.fcos'" in out


def test_plugins_of_a_process_of_its_own(tmp_path, python):
    """As a user meets it: an answer on standard output that parses, whatever strangers print."""
    site = tmp_path / "site"
    good(site)
    sources = {
        "leaving": "print(1)\nimport sys\nsys.exit()\n",
        "chatting": f"print(2)\n{HOOK}def argus_datasets():\n    print('three')\n    return 4\n",
        "damaged": "class Mine(:\n",
    }
    for name, source in sources.items():
        package(site, name, {"argus.plugins": {name: f"{name}_stranger"}}, {f"{name}_stranger": source})
    quick = {"ARGUS_DISABLE": "detect.good"}  # without strangers' heads nothing needs torch
    done = python(
        "-m", "argus_arena", "plugins", "--json", PYTHONPATH=str(site), ARGUS_TRACE_HOOKS="1", ARGUS_DEBUG="", **quick
    )
    assert done.returncode == 1
    found = {each["name"]: each for each in json.loads(done.stdout)["packages"]}
    assert {name for name, each in found.items() if each["failed"]} == set(sources)
    assert found["chatting"]["warnings"] == ["importing chatting printed '2'"]
    assert found["good-stranger"]["hooks"] == {"good": ["argus_datasets", "arena_started"]}
    assert found["good-stranger"]["data_sets"] == ["good"]
    assert set(found["argus-perception"]["heads"]) == BUILT_IN
    assert "three\nhook argus_datasets() of chatting = chatting_stranger (chatting 1.2) returned 4 in " in done.stderr


def test_an_import_that_leaves_the_working_directory_is_brought_back(site, tmp_path, monkeypatch, capsys, others_work):
    package(
        site,
        "mover-stranger",
        {"argus.plugins": {"mover": "mover_stranger"}},
        {"mover_stranger": "import os\nos.chdir('/')\n"},
    )
    monkeypatch.chdir(tmp_path)
    load_plugins()
    assert Path.cwd() == tmp_path
    assert "warning: importing mover_stranger changed the working directory" in capsys.readouterr().err
    others_work()


def test_a_hook_that_nobody_would_run_is_refused(site, others_work):
    source = f"{HOOK}def arena_started(run):\n    yield\n"
    package(site, "lazy-stranger", {"argus.plugins": {"lazy": "lazy_stranger"}}, {"lazy_stranger": source})
    (reason,) = load_plugins().failed.values()
    assert reason.startswith("arena_started is a generator")
    others_work()


def test_a_misspelt_group_is_told(site, others_work):
    package(site, "lost-stranger", {"argus.head": {"detect.lost": "lost_stranger:Mine"}})
    (warning,) = take_inventory(load=False).warnings
    assert "lost-stranger 1.2 declares entry points that nobody reads" in warning
    assert "'argus.head'; did you mean 'argus.heads'" in warning
    others_work()


def test_a_head_that_solves_another_task_than_its_name_says_is_refused(site, others_work):
    package(site, "odd-stranger", {"argus.heads": {"segment.odd": "odd_stranger:Mine"}}, {"odd_stranger": HEAD})
    with pytest.raises(ArgusError, match=r"segment\.odd .*solves 'detect'; its package must name it detect\.NAME"):
        head_class("segment.odd")
    others_work()
