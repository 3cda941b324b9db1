"""Third-party packages, installed by pip: they are discovered, pass the conformance kit, and train."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from argus_core.testing import HEAD_CHECKS

PROJECTS = Path(__file__).parents[1] / "third_party"
SOURCE = PROJECTS / "argus-ring-head"


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """The three files of the package, without the settings and build files of this repository."""
    folder = tmp_path_factory.mktemp("source")
    for file in SOURCE.glob("*.*"):
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


@pytest.fixture(scope="module")
def python(copy, tmp_path_factory):
    """``python(*arguments)``: run a fresh interpreter with the package, which pip installed into a folder."""
    return install(copy, tmp_path_factory.mktemp("site"))


def install(source, target):
    """``run(*arguments, cwd)``: exit code and output of a fresh interpreter with the project ``source``."""
    pip = ("pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--target", str(target))
    subprocess.run([sys.executable, "-m", *pip, str(source)], check=True)

    def run(*arguments, cwd):
        env = {**os.environ, "PYTHONPATH": str(target), "COLUMNS": "200"}
        done = subprocess.run([sys.executable, *arguments], env=env, cwd=cwd, capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr

    return run


def test_the_whole_package_takes_forty_lines_in_three_files():
    files = [file for file in SOURCE.iterdir() if file.is_file()]
    assert len(files) == 3
    assert sum(len(file.read_text().splitlines()) for file in files) <= 40


def test_it_is_listed_with_its_package(python, tmp_path):
    code, text = python("-m", "argus_arena", "heads", cwd=tmp_path)
    assert code == 0
    (line,) = [line for line in text.splitlines() if line.startswith("detect.ring ")]
    assert "argus_ring_head:Ring" in line and "argus-ring-head 0.1.0" in line


def test_its_own_test_file_passes(python, copy):
    code, text = python("-m", "pytest", "-p", "no:cacheprovider", "test_ring.py", cwd=copy)
    assert code == 0, text
    assert f"{len(HEAD_CHECKS)} passed" in text


@pytest.mark.slow
def test_it_trains_scores_and_is_ranked_like_a_built_in_head(python, tmp_path):
    data = ("--data", "scenes:images=16,val=4,size=64", "--backbone", "tiny", "--canvas", "64")
    recipe = ("--set", "epochs=2", "--set", "batch=8", "--set", "ring.width=16")
    code, text = python("-m", "argus_arena", "train", "--head", "ring", *data, *recipe, "--out", "run", cwd=tmp_path)
    assert code == 0, text
    row = json.loads(next((tmp_path / "run").rglob("result.json")).read_text())
    assert row["head"] == "detect.ring"
    code, text = python("-m", "argus_arena", "board", "run", cwd=tmp_path)
    assert code == 0 and "ring" in text, text
