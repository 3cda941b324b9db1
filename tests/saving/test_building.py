"""``argus build`` and ``argus bench``: how often the backbone looks at an image, and what that costs."""

from __future__ import annotations

import json
import re

import pytest
from typer.testing import CliRunner

from argus_core import Argus, Canvas, Classify, Depth, build_head, load_backbone, save_head
from argus_core.cli.commands import app

HEADS = {
    "kinds": ("classify.linear", Classify(classes=("a", "b")), Canvas(64)),
    "metres": ("depth.linear", Depth(), Canvas(96, 128)),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs on one backbone, each on a canvas of its own."""
    backbone, folder = load_backbone("tiny"), tmp_path_factory.mktemp("runs")
    entry = {"name": "tiny", "sha256": backbone.weights_sha256, "options": {}, "weights": None}
    for name, (head, task, canvas) in HEADS.items():
        record = {"tokens": {"backbone": entry, "canvas": vars(canvas)}}
        file = folder / name / name / "best.safetensors"
        file.parent.mkdir(parents=True)
        save_head(file, build_head(head, backbone.info, task), record)
    return [str(folder / name) for name in HEADS]


def run(*arguments):
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.output
    return done


def costs(text):
    return [float(number) for number in re.findall(r"([\d.]+) GMACs", text)]


def test_two_canvases_are_two_passes_and_one_is_what_was_announced(runs, tmp_path):
    done = run("build", *runs, "--out", tmp_path / "two")
    assert "an image takes 2 backbone passes" in done.stdout and re.search(r"model: .*two \([\d.]+ s\)", done.stdout)
    assert "looks at every image 2 times; with --canvas 96x128 it would once" in done.stderr
    once = run("build", *runs, "--out", tmp_path / "one", "--canvas", "96x128")
    assert "an image takes 1 backbone pass, " in once.stdout and "score them again" in once.stderr
    assert costs(once.stdout) == costs(done.stderr) and costs(done.stdout) > costs(done.stderr)
    assert len(Argus.load(tmp_path / "one").passes()) == 1


def test_heads_of_one_canvas_need_no_advice(runs, tmp_path):
    done = run("build", runs[0], "--out", tmp_path / "model")
    assert "an image takes 1 backbone pass, " in done.stdout and "notice" not in done.stderr
    assert json.loads((tmp_path / "model/config.json").read_text())["argus"]["canvas"] is None


def test_bench_measures_the_single_pass_too(runs, tmp_path):
    run("build", *runs, "--out", tmp_path / "two")
    text = run("bench", "--model", tmp_path / "two", "--rounds", 1).stdout
    assert re.search(r"^total .* ms, .* times the backbone, 2 passes$", text, re.MULTILINE)
    assert re.search(r"^one pass of 96x128 +[\d.]+ ms, [\d.]+ times the backbone$", text, re.MULTILINE)
    assert "one pass" not in run("bench", "--model", tmp_path / "two", "--rounds", 1, "--canvas", 64).stdout
