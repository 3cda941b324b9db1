"""A stranger's package, installed by pip as anybody's would be: found, held to the contract, trained."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from argus_core.testing import HEAD_CHECKS

PROJECTS = Path(__file__).parents[1] / "third_party"
SOURCE = PROJECTS / "argus-ring-head"
OTHERS = ("argus-two-taps", "argus-normals", "argus-strided", "argus-voc", "argus-ridge")


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """The package's three files, away from this repository's settings and builds' leftovers."""
    folder = tmp_path_factory.mktemp("source")
    for each in SOURCE.glob("*.*"):
        (folder / each.name).write_bytes(each.read_bytes())
    return folder


@pytest.fixture(scope="module")
def stranger(copy, tmp_path_factory):
    """``stranger(*arguments)``: a fresh interpreter that has the package, which pip installed into a folder."""
    return installed(copy, tmp_path_factory.mktemp("site"))


def installed(source, target):
    """``run(*arguments, cwd)``: exit code and text of a fresh interpreter that has the project ``source``."""
    pip = ("pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--target", str(target))
    subprocess.run([sys.executable, "-m", *pip, str(source)], check=True)

    def run(*arguments, cwd):
        env = {**os.environ, "PYTHONPATH": str(target), "COLUMNS": "200"}
        done = subprocess.run([sys.executable, *arguments], env=env, cwd=cwd, capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr

    return run


def test_the_whole_package_takes_forty_lines_in_three_files():
    files = [each for each in SOURCE.iterdir() if each.is_file()]
    assert len(files) == 3
    assert sum(len(each.read_text().splitlines()) for each in files) <= 40


def test_it_is_listed_with_the_package_that_brought_it(stranger, tmp_path):
    code, text = stranger("-m", "argus_arena", "heads", cwd=tmp_path)
    assert code == 0
    (line,) = [line for line in text.splitlines() if line.startswith("detect.ring ")]
    assert "argus_ring_head:Ring" in line and "argus-ring-head 0.1.0" in line


def test_its_own_test_file_passes(stranger, copy):
    code, text = stranger("-m", "pytest", "-p", "no:cacheprovider", "test_ring.py", cwd=copy)
    assert code == 0, text
    assert f"{len(HEAD_CHECKS)} passed" in text


@pytest.mark.slow
def test_it_trains_scores_and_is_ranked_like_a_built_in_head(stranger, tmp_path):
    data = ("--data", "scenes:images=16,val=4,size=64", "--backbone", "tiny", "--canvas", "64")
    recipe = ("--set", "epochs=2", "--set", "batch=8", "--set", "ring.width=16")
    code, text = stranger("-m", "argus_arena", "train", "--head", "ring", *data, *recipe, "--out", "run", cwd=tmp_path)
    assert code == 0, text
    row = json.loads(next((tmp_path / "run").rglob("result.json")).read_text())
    assert row["head"] == "detect.ring"
    code, text = stranger("-m", "argus_arena", "board", "run", cwd=tmp_path)
    assert code == 0 and "ring" in text, text


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_what_other_strangers_test_passes(tmp_path, name):
    """Their own test files, without the two checks of a head that take longer than all others together."""
    source = shutil.copytree(PROJECTS / name, tmp_path / "source")
    run = installed(source, tmp_path / "site")
    code, text = run(
        "-m", "pytest", "-p", "no:cacheprovider", "-W", "error", "-W", "ignore::DeprecationWarning",
        "-k", "not exports and not compiles", cwd=source,
    )  # fmt: skip
    assert code == 0 and " passed" in text, text
