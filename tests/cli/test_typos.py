"""Names that are wrong are told before torch is imported: here it cannot be, and every command says its sentence."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from PIL import Image

from argus_core import Argus, Canvas, Classify, Depth, build_head, load_backbone
from argus_core.cache.codec import CODECS
from argus_core.cli.early import check_dtype, check_fit
from argus_core.cli.requests import VARIANTS
from argus_core.common.dtypes import DTYPES
from argus_core.errors import ArgusError
from argus_core.registry.places import Role, find_head, read_roles
from argus_core.saving.config import FILES

RUN = """
import contextlib, io, json, sys
sys.modules["torch"] = None  # whoever imports it fails
from argus_arena.cli import main as arena
from argus_core.cli import main as argus
said = []
for line in json.load(sys.stdin):
    sys.argv = line.split()
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            {"arena": arena, "argus": argus}[sys.argv[0]]()
            code = 0
        except SystemExit as error:
            code = error.code
        except BaseException as error:
            code = repr(error)
    said.append([code, out.getvalue(), err.getvalue()])
print(json.dumps(said))
"""
TRAIN = "arena train --head depth.linear --data scenes: --backbone tiny"
CACHE = "arena cache --data scenes: --out o --backbone tiny"
SAID = {
    "argus typo": "No such command 'typo'",
    "argus perceive --typo": "No such option",
    "argus perceive x.jpg --model missing": "unknown model 'missing'",
    "argus perceive x.jpg --model empty": "empty holds no model",
    "argus perceive missing.jpg --model m": "there is no file or folder missing.jpg",
    "argus perceive x.jpg --model m --tasks kinds,typo": "no head here solves 'typo', but classify, d",
    "argus depth x.jpg --model m --head typo": "no head for 'depth' is called 'typo'; there are metres",
    "argus depth x.jpg --model m --canvas 3k": "'3k' is neither SIZE nor HEIGHTxWIDTH",
    "argus detect x.jpg --model m --require-license typo": "unknown level of licences 'typo'",
    "argus detect x.jpg --model m": "no head here solves 'detect'",
    "argus correspond x.jpg missing.jpg --point 1,2": "there is no file missing.jpg",
    "argus correspond x.jpg x.jpg --point 12": "'12' is not a point X,Y",
    "argus features x.jpg --point 12": "'12' is not a point X,Y",
    "argus info missing": "unknown model 'missing'",
    "argus bench --model missing": "unknown model 'missing'",
    "argus export --out o --format typo": "unknown export format 'typo'",
    "argus export --out o --variant typo": "unknown variant 'typo'",
    "argus export --out o --variant bf16_backbone --format onnx": "onnx graphs hold float32 weights",
    "argus build missing --out o": "missing holds no best.safetensors",
    "argus build m --out o": "m is a saved model, not a run",
    "argus build run --out m": "m exists already",
    "argus serve --taught x.jpg/models": "x.jpg is a file; choose another --taught",
    "argus build run --out o --weights-of typo": "unknown weights of a run 'typo'",
    "arena typo": "No such command 'typo'",
    f"{TRAIN} --head typo": "unknown head 'typo'",
    f"{TRAIN} --head mine=typo": "unknown head 'typo'",
    f"{TRAIN} --head linear": "head 'linear' is ambiguous",
    f"{TRAIN} --data typo:": "unknown data set 'typo'",
    f"{TRAIN} --data scenes:typo=1": "unknown option of data set 'scenes' 'typo'",
    f"{TRAIN} --backbone typo": "unknown backbone 'typo'; did you mean 'tiny'",
    f"{TRAIN} --protocol typo": "unknown protocol 'typo'",
    f"{TRAIN} --canvas typo": "'typo' is neither SIZE",
    f"{TRAIN} --fit typo": "unknown fit of a canvas 'typo'",
    f"{TRAIN} --cache missing": "no file or folder missing",
    f"{TRAIN} --require-license typo": "unknown level of licences 'typo'",
    "arena train --config run.toml": "unknown head 'typo'",
    "arena train --config run.toml --head depth.linear": "unknown data set 'typo'",
    "arena train --head depth.linear": "data is not given; add --data SPEC",
    "arena compare --config run.toml --out o": "unknown head 'typo'",
    "arena train --config missing.toml": "no file or folder missing.toml",
    "arena compare --heads typo --data scenes: --out o": "unknown head 'typo'",
    f"{CACHE} --data typo:": "unknown data set 'typo'",
    f"{CACHE} --backbone typo": "unknown backbone 'typo'",
    f"{CACHE} --protocol typo": "unknown protocol 'typo'",
    f"{CACHE} --interpolation typo": "unknown interpolation 'typo'",
    f"{CACHE} --dtype typo": "unknown cache dtype 'typo'",
    "arena cache info missing": "no file or folder missing",
    "arena cache verify missing": "no file or folder missing",
    "arena data check typo:": "unknown data set 'typo'",
    "arena eval --run missing": "missing holds no best.safetensors",
    "arena eval --run run --protocol typo": "unknown protocol 'typo'",
    "arena predict x.jpg --run missing": "missing holds no best.safetensors",
    "arena board missing": "no result.json below missing",
    "arena report missing": "no result.json below missing",
    "arena reproduce missing": "no file or folder missing",
    "arena check typo": "unknown head, task, backbone or data set 'typo'",
    "arena check x --kind typo": "unknown kind 'typo'",
    "arena plugin new my-head --kind typo": "unknown kind of plugin 'typo'",
    "arena plugin new my-head --task typo": "no template of a head for task 'typo'",
    "arena text --out t --data typo:": "unknown data set 'typo'",
    "arena text --out t": "say whose vectors",
    "arena domains --data missing --heads typo --out o": "unknown head 'typo'",
}
WORKS = ("argus --version", "arena --version", "argus", "argus perceive --help", "arena heads", "arena protocols")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A photograph, a model with two heads, a folder that looks like a run, and an empty one."""
    folder = tmp_path_factory.mktemp("typos")
    Image.new("RGB", (64, 48)).save(folder / "x.jpg")
    backbone = load_backbone("tiny")
    heads = {"kinds": ("classify.linear", Classify(classes=("a", "b"))), "metres": ("depth.linear", Depth())}
    built = {name: build_head(head, backbone.info, task) for name, (head, task) in heads.items()}
    Argus(backbone, built, Canvas(64)).save(folder / "m", per_head=True)
    (folder / "empty").mkdir()
    (folder / "run.toml").write_text("heads = ['typo']\ndata = 'typo:'\n")
    for name in built:
        (folder / "run" / name).mkdir(parents=True)
        (folder / "m" / "heads" / f"{name}.safetensors").rename(folder / "run" / name / "best.safetensors")
    return folder


@pytest.fixture(scope="module")
def said(folder):
    lines = json.dumps([*SAID, *WORKS])
    done = subprocess.run([sys.executable, "-c", RUN], input=lines, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return dict(zip([*SAID, *WORKS], json.loads(done.stdout), strict=True))


@pytest.mark.parametrize("line", SAID)
def test_a_typo_is_told_without_torch(said, line):
    code, out, err = said[line]
    assert code == 2, (code, err)
    assert SAID[line] in " ".join(err.replace("│", " ").split()) and not out


def test_versions_and_help_need_no_torch(said, folder):
    for line in WORKS:
        assert said[line][0] in (0, 2) and "torch" not in said[line][2], said[line]
    text = said["argus --version"][1]
    assert text == said["arena --version"][1] and not (folder / "o").exists()
    names = [one.split()[0] for one in text.splitlines()]
    assert names == ["argus-perception", "torch", "timm", "python"]
    assert f"python {sys.version.split()[0]}" in text


def test_the_names_that_are_checked_early_are_those_that_hold_later():
    for name in CODECS:
        check_dtype(name)
    assert set(CODECS) == set(DTYPES)
    assert set(VARIANTS) == {name for name in FILES if name}
    with pytest.raises(ArgusError, match="unknown fit"):
        check_fit("Letterbox")


def test_what_a_place_holds_is_read_from_its_files(folder):
    roles = {"kinds": Role("classify", "classify.linear"), "metres": Role("depth", "depth.linear")}
    assert read_roles(folder / "m") == read_roles(folder / "run") == roles
    assert read_roles(folder / "run" / "metres") == {"metres": roles["metres"]}
    assert read_roles(folder / "empty") is None
    assert find_head(roles, "classify", "softmax") == "kinds"
