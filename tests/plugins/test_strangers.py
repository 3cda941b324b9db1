"""Five strangers' packages beside a wheel of Argus, freshly installed: listed, trained, composed, saved, removed."""

from __future__ import annotations

import ast
import importlib
import json
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from argus_arena.template.kinds import HEADS, KINDS, SOLVED
from argus_arena.template.names import Names
from argus_arena.template.render import render, write_project
from stranger_data import write_classes, write_voc
from stranger_env import PROJECTS, make_env

FIVE = ("argus-two-taps", "argus-normals", "argus-strided", "argus-voc", "argus-ridge")
PROVIDED = {
    "argus-two-taps": ["segment.two_taps"],
    "argus-normals": ["normals.linear", "normal_scenes", "tasks: normals"],
    "argus-strided": ["resnet_dilated"],
    "argus-voc": ["pascal"],
    "argus-ridge": ["classify.tempered_ridge"],
}
LIVE = ("--backbone", "tiny", "--canvas", "64", "--set", "batch=8")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def env(tmp_path_factory):
    """An environment with Argus and all five."""
    pytest.importorskip("hatchling", reason="building a wheel offline needs hatchling")
    pytest.importorskip("pip", reason="strangers are installed by pip")
    return make_env(tmp_path_factory.mktemp("strangers"), *FIVE)


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A clean folder in which everything runs."""
    return tmp_path_factory.mktemp("work")


def row(run, head):
    """The scores of a trained head."""
    return json.loads((run / head / "result.json").read_text())["metrics"]


@pytest.fixture(scope="module")
def dense(env, work):
    """A segmentation head and one of a new task, side by side on the new task's own data."""
    data = (
        "--data",
        "normal_scenes:images=48,val=16,size=64",
        "--head",
        "segment.two_taps",
        "--head",
        "normals.linear",
    )
    options = ("--set", "two_taps.layers=3,11", "--set", "linear.layers=3,11")
    env.arena("train", *data, *LIVE, *options, "--set", "steps=120", "--set", "lr=0.02", "--out", "dense", cwd=work)
    return work / "dense"


@pytest.fixture(scope="module")
def ridge(env, work):
    """A head solved in closed form, on class folders."""
    data = ("--data", f"folder:{write_classes(work / 'classes', 12, 8)}", "--head", "classify.tempered_ridge")
    env.arena("train", *data, *LIVE, "--set", "epochs=3", "--set", "pool=true", "--out", "ridge", cwd=work)
    return work / "ridge"


@pytest.fixture(scope="module")
def detector(env, work):
    """A built-in detector on a stranger's data."""
    data = ("--data", f"pascal:{write_voc(work / 'voc', 24, 8)}", "--head", "detect.fcos")
    options = ("--set", "steps=60", "--set", "width=32", "--set", "depth=1")
    env.arena("train", *data, *LIVE, *options, "--out", "boxes", cwd=work)
    return work / "boxes"


@pytest.fixture(scope="module")
def strided(env, work):
    """A built-in head on a stranger's backbone."""
    live = ("--backbone", "resnet_dilated", "--canvas", "64", "--set", "batch=8", "--set", "steps=24")
    data = ("--data", "scenes:images=24,val=8,size=64", "--head", "segment.linear", "--set", "lr=0.01")
    env.arena("train", *data, *live, "--out", "strided", cwd=work)
    return work / "strided"


def test_strangers_import_only_what_is_public():
    """Modules with ``__all__``, and of these only the names listed there."""
    wrong = []
    for path in (path for name in FIVE for path in (PROJECTS / name).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith(("argus_core", "argus_data")):
                public = getattr(importlib.import_module(str(node.module)), "__all__", ())
                wrong += [f"{path.name}: {node.module}.{each.name}" for each in node.names if each.name not in public]
    assert not wrong


def test_nothing_of_this_repository_is_seen(env, work):
    code = "import argus_core, argus_data, argus_normals, torch; print(*(m.__file__ for m in (argus_core, argus_data)))"
    files = env.script(code, cwd=work).split()
    assert len(files) == 2 and all(Path(file).is_relative_to(env.folder) for file in files), files
    assert not Path(str(find_spec("argus_core").origin)).is_relative_to(env.folder)
    assert "argus-perception" in env.pip("show", "argus-normals", cwd=work)


def test_their_own_tests_pass(env):
    """In one process, without the two checks of heads that take longer than all others together."""
    projects = env.folder.parent / "projects"
    strict = ("-W", "error", "-W", "ignore::DeprecationWarning", "-p", "no:cacheprovider")
    told = env.run(env.python, "-m", "pytest", "-v", *strict, "-k", "not exports and not compiles", cwd=projects)
    assert {name for name in FIVE if re.search(rf"^{name}/test_\w+\.py::.* PASSED", told, re.MULTILINE)} == set(FIVE)


def test_all_five_are_listed_with_what_they_provide(env, work):
    listed = env.arena("plugins", cwd=work)
    blocks = dict(re.findall(r"^(\S+) 0\.1\.0\n((?:  .*\n?)+)", listed, re.MULTILINE))
    assert set(blocks) == {"argus-perception", *FIVE}
    for name, provided in PROVIDED.items():
        for each in provided:
            assert each in blocks[name], f"{name} does not show {each}:\n{listed}"


def test_a_head_of_two_layers_beats_the_largest_class(dense):
    """Ground covers 0.56 of the validation pixels, which alone would be a mean IoU of 0.08."""
    scores = row(dense, "two_taps")
    assert scores["aAcc"] > 0.75 and scores["mIoU"] > 0.18, scores


def test_a_new_task_beats_the_best_single_direction(dense):
    """That of the training split is off by 29.4 degrees (root mean square), as most is ground; a random one by 90."""
    scores = row(dense, "linear")
    assert scores["rmse"] < 28.9 and scores["median"] < 15 and scores["within_22"] > 0.7, scores


def test_a_head_in_closed_form_beats_chance(ridge):
    """Three classes alike: 0.33; told apart by their stripes."""
    assert row(ridge, "tempered_ridge")["top1"] > 0.8
    record = json.loads((ridge / "tempered_ridge" / "result.json").read_text())
    assert record["parameters"] == 1 and "ridge penalty" in record["notes"][0]


def test_a_built_in_detector_learns_from_a_strangers_data(detector):
    """Boxes at random score an AP50 of about 0."""
    scores = row(detector, "fcos")
    assert scores["AP50"] > 0.7 and scores["AP"] > 0.3, scores


def test_a_built_in_head_learns_on_a_strangers_backbone(strided):
    """Ground covers 0.56 of the validation pixels."""
    assert row(strided, "linear")["aAcc"] > 0.75
    record = json.loads((strided / "linear" / "result.json").read_text())
    assert "resnet_dilated" in json.dumps(record["tokens"])


ANSWERS = """
import sys
from pathlib import Path
import numpy as np
from argus_core import Argus, open_data

def answers(argus):
    images = [open_data("scenes:images=2,val=2,size=72x56")["val"].read(n) for n in (0, 1)]
    seen = argus.perceive(images)
    direct = argus.answer(images, list(argus.heads), {"detect": {"score_thresh": 0.05}})
    found = {}
    for n, (one, other) in enumerate(zip(seen, direct, strict=True)):
        for name, result in other.items():
            assert name in one and result.draw().dtype == np.uint8, name
            for key, value in vars(result).items():
                for part, inner in (vars(value) if hasattr(value, "__dict__") else {"": value}).items():
                    if isinstance(inner, np.ndarray) or hasattr(inner, "numpy"):
                        found[f"{n} {name} {key} {part}"] = np.asarray(inner)
    return found
"""

COMPOSE = (
    ANSWERS
    + """
from argus_core import load_head
from argus_core.backbones import load_backbone
heads = {"parts": "dense/two_taps", "normals": "dense/linear", "kind": "ridge/tempered_ridge", "boxes": "boxes/fcos"}
argus = Argus(load_backbone("tiny"), {name: load_head(Path(at, "best.safetensors"))[0] for name, at in heads.items()})
assert len(argus.passes()) == 1
found = answers(argus)
assert {name.split()[1] for name in found} == set(heads), list(found)
normals = found["0 normals normals "]
assert normals.shape == (72, 56, 3) and np.allclose(np.linalg.norm(normals, axis=-1), 1, atol=1e-3)
argus.save("model")
np.savez("answers.npz", **found)
other = Argus(load_backbone("resnet_dilated"), {"parts": load_head(Path("strided/linear/best.safetensors"))[0]})
np.savez("strided.npz", **answers(other))
other.save("model-strided")
"""
)

AGAIN = (
    ANSWERS
    + """
folder, file, missing, *leave_out = sys.argv[1:]
argus = Argus.load(folder, allow_missing=missing == "allow")
assert sorted(argus.missing) == leave_out, argus.missing
found, before = answers(argus), np.load(file)
kept = [name for name in before.files if name.split()[1] not in leave_out]
assert sorted(found) == sorted(kept) and len(found) > 1
for name, value in found.items():
    assert value.dtype == before[name].dtype and np.array_equal(value, before[name]), name
"""
)


@pytest.fixture(scope="module")
def saved(env, work, dense, ridge, detector, strided):
    """Two saved Argus, and what they answered before."""
    env.script(COMPOSE, cwd=work)
    return work


def test_all_of_them_work_in_one_argus_and_answer_the_same_after_saving(env, saved):
    env.script(AGAIN, "model", "answers.npz", "all", cwd=saved)
    env.script(AGAIN, "model-strided", "strided.npz", "all", cwd=saved)


@pytest.fixture
def removed(env, saved):
    """The environment without two of the packages."""
    env.pip("uninstall", "--quiet", "--yes", "argus-two-taps", "argus-strided", cwd=saved)
    return env


REFUSED = """
import sys
from argus_core import Argus, ArgusError
for folder in sys.argv[1:]:
    try:
        Argus.load(folder)
    except ArgusError as error:
        print(folder, "::", error)
"""


def test_a_package_that_is_gone_is_named_and_the_rest_still_works(env, saved, checked, removed):
    head, backbone = env.script(REFUSED, "model", "model-strided", cwd=saved).strip().split("\nmodel-strided")
    assert "argus-two-taps 0.1.0" in head and "allow_missing=True" in head and "segment.two_taps" in head
    assert "resnet_dilated" in backbone
    env.script(AGAIN, "model", "answers.npz", "allow", "parts", cwd=saved)
    listed = env.arena("plugins", cwd=saved)
    assert "argus-two-taps" not in listed and "argus-normals 0.1.0" in listed


TYPES = """
from argus_core import FeatureInfo, Features, Head, Segment
from argus_normals.head import LinearNormals

def show(info: FeatureInfo, features: Features, head: LinearNormals, other: Head, task: Segment) -> None:
    reveal_type(info.channels)
    reveal_type(info.grid((1, 1), 0))
    reveal_type(features.maps)
    reveal_type(features.extent)
    reveal_type(task.classes)
    reveal_type(head.needs)
    reveal_type(head.forward)
    reveal_type(other.loss)
"""
REVEALED = (
    "tuple[int, ...]",
    "tuple[int, int]",
    "tuple[Tensor, ...]",
    "Tensor",
    "tuple[str, ...]",
    "Needs",
    "def (features: Features) -> RawNormals",
    "def (output: Any, targets: Sequence[Any]) -> dict[str, Tensor]",
)


def written(folder):
    """Packages of every kind that `arena plugin new` writes, and the tests of one of them."""
    for label, kind in {**HEADS, **{f"solved-{task}": kind for task, kind in SOLVED.items()}, **KINDS}.items():
        name = f"my-new-{label}"
        write_project(folder / name, render(kind, Names.of(name), "Ann"))
        yield folder / name / name.replace("-", "_")
    yield folder / "my-new-task" / "tests"


@pytest.fixture(scope="module")
def checked(env, pytestconfig, tmp_path_factory):
    """What a strict mypy says of the strangers' packages, and of those that `arena plugin new` writes, with the wheel.

    It is faster when run again.
    """
    pytest.importorskip("mypy", reason="types are checked by mypy")
    folder = tmp_path_factory.mktemp("typing")
    (folder / "mypy.ini").write_text("[mypy]\nstrict = true\nfollow_imports = silent\n")
    (folder / "show.py").write_text(TYPES)
    # Single modules cannot carry the marker that they are typed, so their files are named.
    names = ("argus-ridge/argus_ridge.py", "argus-two-taps/argus_two_taps.py", "argus-strided/argus_strided.py")
    packages = [PROJECTS / "argus-normals/argus_normals", PROJECTS / "argus-voc/argus_voc", *written(folder)]
    held = getattr(pytestconfig, "cache", None)
    cache = held.mkdir("strangers") if held else folder / "cache"
    mypy = (env.python, "-m", "mypy", "--config-file", folder / "mypy.ini", "--cache-dir", cache)
    return env.run(*mypy, *packages, *(PROJECTS / name for name in names), folder / "show.py", cwd=folder)


def test_strangers_and_what_is_written_for_them_are_typed_against_the_wheel(checked):
    assert "Success: no issues found" in checked
    revealed = re.findall(r'Revealed type is "(.*)"', checked)
    assert [re.sub(r"\b(?:[a-z_]\w*\.)+", "", one) for one in revealed] == list(REVEALED)
