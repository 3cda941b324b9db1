"""Heads of single files: found by path, registered once, followed when they change, and refused with a line number."""

from __future__ import annotations

import sys

import pytest
from typer.testing import CliRunner

from argus_arena.cli import app
from argus_arena.requests import RunRequest
from argus_arena.run.config import resolve, split_name
from argus_core import Argus
from argus_core.cli.commands import app as argus_app
from argus_core.errors import ArgusError
from argus_core.plugins.files import (
    PREFIX,
    is_file_spec,
    load_module,
    load_object,
    register_all,
    register_file,
    source_of,
)
from argus_core.registry import BACKBONES, HEADS, TASKS
from argus_core.saving.build import build_head
from argus_core.tasks.detect import Detect
from argus_core.tokens import FeatureInfo

HEAD = """
from __future__ import annotations
from argus_core import Backbone, Detect, Head
from argus_heads.fcos_detect import FCOS
from widths import WIDTH

class _Hidden(FCOS):
    pass

class MyHead(FCOS):
    def __init__(self, info, task, *, width: int = WIDTH) -> None:
        super().__init__(info, task, width=width, depth=1)
"""
TASK = """
class Spot(Detect):
    name = "spot"

class SpotHead(MyHead):
    solves = Spot

def helper(x):
    return x

def my_backbone(weights=None) -> Backbone:
    from argus_core.backbones.tiny import tiny
    return tiny()
"""
INFO = FeatureInfo.vit(96)
DATA = "scenes:images=8,val=2,size=64"
SMALL = ["--backbone", "tiny", "--canvas", "64", "--set", "steps=2", "--set", "batch=4", "--set", "stages=[]"]


@pytest.fixture(autouse=True)
def _forget():
    path = list(sys.path)
    yield
    sys.path[:] = path
    for name in [name for name in sys.modules if name.startswith(PREFIX) or name == "widths"]:
        del sys.modules[name]
    for registry in (HEADS, TASKS, BACKBONES):
        for entry in [each for each in registry.entries() if each.distribution.startswith("file ")]:
            registry.unregister(entry.name)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "my_head.py").write_text(HEAD)
    (tmp_path / "all.py").write_text(HEAD + TASK)
    (tmp_path / "widths.py").write_text("WIDTH = 32\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def train(*arguments):
    return CliRunner().invoke(app, ["train", "--data", DATA, *SMALL, *arguments])


def test_which_texts_are_files():
    for text in ("my.py", "./my.py:Mine", "a/b c/Ж.py:X", r"C:\a\my.py", r"C:\a\my.py:Mine", "/a=b/my.py:", "x.py:1"):
        assert is_file_spec(text), text
    for text in ("fcos", "detect.fcos", "timm:resnet18", "my.pyc", "my.py:Mine/x", ".py", "my.py::", "coco:PATH"):
        assert not is_file_spec(text), text
    assert split_name("mine=./my.py:Mine") == ("mine", "./my.py:Mine") and split_name("fcos") == ("", "fcos")
    assert split_name("./a=b/my.py:Mine") == ("", "./a=b/my.py:Mine") == split_name("./a=b/my.py:Mine")
    with pytest.raises(ArgusError, match="'a b' is no name"):
        split_name("a b=fcos")


def test_a_file_is_registered_under_task_and_class(folder):
    assert register_file("./my_head.py:MyHead") == register_file("my_head.py") == "detect.my_head"
    entry = HEADS.find("my_head")
    assert (entry.name, entry.distribution) == ("detect.my_head", "file my_head.py:MyHead")
    assert source_of(entry.target)[0] == folder / "my_head.py" and source_of(Detect) is None
    head = build_head("./my_head.py:MyHead", INFO, Detect.small())
    assert (head.name, head.options) == ("detect.my_head", {"width": 32})
    assert build_head("detect.my_head", INFO, Detect.small(), {"width": 64}).options == {"width": 64}


def test_a_file_may_bring_its_task_and_a_backbone(folder):
    assert register_file("all.py:SpotHead") == "spot.spot_head" and TASKS.load("spot").__name__ == "Spot"
    assert register_all("all.py") == ["detect.my_head", "spot", "spot.spot_head", "my_backbone"]
    assert BACKBONES.load("my_backbone")().name == "tiny"
    assert load_object("all.py", "task") is TASKS.load("spot") and load_object("all.py", "backbone") is not None
    assert load_object("all.py:helper", "backbone")(3) == 3


def test_the_same_text_is_run_once_and_a_changed_one_anew(folder):
    file = folder / "my_head.py"
    first = load_module("my_head.py")
    assert load_module(file) is first and sys.modules[first.__name__] is first
    file.touch()
    assert load_module(file) is first
    name = register_file("my_head.py")
    file.write_text(HEAD.replace("width: int", "width:  int"))
    assert register_file("my_head.py") == name and HEADS.load(name) is not first.MyHead
    file.write_text(HEAD.replace("class MyHead", "class (MyHead"))
    with pytest.raises(ArgusError):
        register_file("my_head.py")
    file.write_text(HEAD)
    assert not (folder / "__pycache__").exists() or not list((folder / "__pycache__").glob("my_head*"))


def test_two_files_of_one_name_are_two_modules_and_modules_beside_come_last(folder):
    (folder / "other").mkdir()
    (folder / "other" / "my_head.py").write_text("import json\nfrom argus_heads.fcos_detect import FCOS as Far\n")
    (folder / "other" / "json.py").write_text("raise RuntimeError('shadows')\n")
    other = load_module("other/my_head.py")
    assert other is not load_module("my_head.py") and other.json.dumps([]) == "[]"
    (folder / "other" / "my_head.py").write_text(HEAD)
    register_file("my_head.py")
    with pytest.raises(ArgusError, match=r"'detect\.my_head', which is taken by .*my_head\.py:MyHead.*rename it"):
        register_file("other/my_head.py")
    (folder / "clash.py").write_text(HEAD.replace("MyHead", "SlimFCOS"))
    with pytest.raises(ArgusError, match=r"'detect\.slim_fcos', which is taken by .*argus-perception"):
        register_file("clash.py")


@pytest.mark.parametrize(
    ("spec", "text", "message"),
    [
        ("none.py:X", None, "there is no file none.py"),
        ("bad.py", "x = 1\ndef (:\n", r"bad\.py:2: SyntaxError"),
        ("bad.py", "x = 1\n\nx / 0\n", r"bad\.py:3: ZeroDivisionError: division by zero; set ARGUS_DEBUG=1"),
        ("bad.py", "raise SystemExit(3)", r"bad\.py:1: SystemExit: 3"),
        ("bad.py", "import nowhere_at_all", r"bad\.py:1: ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("bad.py", b"\nx = '\xff'\n", r"bad\.py:2: SyntaxError: .*codec can't decode"),
        ("bad.py", "x = 1", "defines no head; say which"),
        ("bad.py:Y", HEAD, "unknown object of bad.py 'Y'; known: MyHead"),
        ("bad.py:MyHed", HEAD, "did you mean 'MyHead'"),
        ("bad.py:WIDTH", HEAD, "bad.py:WIDTH is 32, no head; the file defines MyHead"),
        ("bad.py:Detect", HEAD, "no head"),
        ("bad.py:Head", HEAD, "cannot be made: it does not define forward"),
        ("bad.py", HEAD + TASK, "bad.py defines MyHead, SpotHead; say which object is meant"),
    ],
)
def test_faults_of_files_are_told(folder, spec, text, message):
    if text is not None:
        (folder / "bad.py").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ArgusError, match=message):
        register_file(spec, "head")


def test_nothing_is_registered_and_nothing_run_that_was_not_asked_for(folder):
    for text in ("fcos", "detect.fcos", "tiny"):
        assert not is_file_spec(text)
    for registry in (HEADS, TASKS, BACKBONES):
        with pytest.raises(ArgusError, match="unknown"):
            registry.load("./my_head.py:MyHead")  # names that were read from a saved model come here
    assert not any(name.startswith(PREFIX) for name in sys.modules)


def test_a_run_knows_its_files(folder):
    config = resolve(RunRequest(heads=("./my_head.py:MyHead", "wide=my_head.py", "fcos"), data=DATA))
    assert list(config.heads) == ["my_head", "wide", "fcos"]
    assert config.heads["wide"].head == "detect.my_head" and config.heads["fcos"].file is None
    assert config.heads["wide"].file.spec == f"{folder / 'my_head.py'}:MyHead"
    plain = config.model_dump(mode="json")["heads"]
    assert "file" in plain["wide"] and "file" not in plain["fcos"]  # as runs had it before there were files
    dumped = config.model_dump(mode="json")
    assert type(config)(**dumped).model_dump(mode="json") == dumped


def test_training_resuming_and_using_a_head_of_a_file(folder):
    command = ("--head", "mine=./my_head.py:MyHead", "--set", "mine.width=16", "--out", "run")
    assert train(*command).exit_code == 0
    again = train(*command)
    assert again.exit_code == 0, again.output
    (folder / "my_head.py").write_text(HEAD + "\n# another text\n")
    with pytest.raises(ArgusError, match=r"run holds a run with another text of my_head\.py \('[0-9a-f]{12}', now"):
        raise train(*command).exception
    forget(folder)
    evaluation = ["eval", "--run", "run"]
    with pytest.raises(ArgusError, match=r"comes from the file my_head\.py:MyHead: add --plugin my_head\.py:MyHead"):
        raise CliRunner().invoke(app, evaluation).exception
    with pytest.raises(ArgusError, match="was changed: sha256"):
        raise CliRunner().invoke(app, ["--plugin", "my_head.py", "reproduce", "run/mine"]).exception
    (folder / "my_head.py").write_text(HEAD)
    found = CliRunner().invoke(app, ["--plugin", "my_head.py", *evaluation])
    assert found.exit_code == 0 and "mine: AP" in found.stdout, found.output
    same = CliRunner().invoke(app, ["--plugin", "my_head.py", "reproduce", "run/mine"])
    assert same.exit_code == 0 and "the same: every score" in same.stdout, same.output
    told = CliRunner().invoke(argus_app, ["--plugin", "my_head.py:MyHead", "info", "run"])
    assert told.exit_code == 0 and "mine  detect.my_head" in told.stdout


def forget(folder):
    """As in a new process."""
    HEADS.unregister("detect.my_head")
    for name in [name for name in sys.modules if name.startswith(PREFIX)]:
        del sys.modules[name]


def test_heads_that_are_not_here_do_not_stop_the_others(folder, capsys):
    assert train("--head", "my_head.py", "--head", "fcos", "--set", "fcos.width=16", "--out", "run").exit_code == 0
    forget(folder)
    found = CliRunner().invoke(app, ["eval", "--run", "run"])
    assert found.exit_code == 0 and "fcos: AP" in found.stdout and "my_head: AP" not in found.stdout
    assert "warning: my_head is left out" in found.stderr and "--plugin my_head.py:MyHead" in found.stderr
    built = CliRunner().invoke(argus_app, ["build", "run", "--out", "model"])
    assert built.exit_code == 0 and "heads: fcos (detect.fcos)" in built.stdout
    assert "warning: my_head is left out" in built.stderr and "--plugin my_head.py:MyHead" in built.stderr
    exported = CliRunner().invoke(argus_app, ["export", "--model", "run", "--out", "x"])
    assert "--plugin my_head.py:MyHead" in str(exported.exception) and not (folder / "x").exists()
    partly = CliRunner().invoke(argus_app, ["export", "--model", "run", "--out", "x", "--allow-missing"])
    assert partly.exit_code == 0 and "warning: my_head is left out" in partly.stderr
    with pytest.raises(ArgusError, match="my_head is left out"):
        Argus.from_runs([folder / "run"], allow_missing=True).find("detect", "my_head")
    with pytest.raises(ArgusError, match="comes from the file"):
        Argus.from_runs([folder / "run" / "my_head"], allow_missing=True)
