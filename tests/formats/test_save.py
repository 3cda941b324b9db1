"""``--save`` of the commands: what it writes, what a second run leaves, and what it refuses."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from argus_core import load_backbone
from argus_core.cli.commands import app
from argus_core.errors import ArgusError
from bundle_help import make_argus

EVERY = "fiftyone,parquet,rle,voc,yolo,yolo-scores"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    make_argus(load_backbone("tiny"), folder, ("softmax", "masks", "metres", "boxes")).save(folder / "m")
    return folder / "m"


@pytest.fixture
def photos(tmp_path):
    random = np.random.default_rng(0)
    for name, size in (("a.png", (50, 80)), ("two words.jpg", (90, 40)), ("more/a.png", (30, 30))):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (*size, 3), dtype=np.uint8)).save(path)
    return tmp_path / "photos"


def run(command, *arguments, model):
    asked = [command, *map(str, arguments), "--model", str(model), "--threshold", "0", "--no-pictures"]
    return CliRunner().invoke(app, asked)


def test_every_format_of_every_head_at_once(model, photos, tmp_path):
    out = tmp_path / "out"
    done = run("perceive", photos, "--save", EVERY, "--out", out, model=model)
    assert done.exit_code == 0, done.output
    labels = out / "boxes" / "yolo" / "labels"
    assert {str(path.relative_to(labels)) for path in labels.rglob("*.txt")} == {
        *("a.txt", "two words.txt", "more/a.txt"),
    }
    detections = json.loads((out / "boxes/detections.json").read_text())
    lines = [line.split() for path in labels.rglob("*.txt") for line in path.read_text().splitlines()]
    assert len(lines) == len(detections) > 0
    assert (out / "boxes/yolo/images/more/a.png").resolve() == (photos / "more/a.png").resolve()
    assert len(list((out / "boxes/voc/Annotations").rglob("*.xml"))) == 3
    classes = json.loads((out / "softmax/fiftyone/labels.json").read_text())
    assert set(classes["labels"]) == {"a", "two words", "more/a"} and classes["labels"]["a"]["label"] in (0, 1, 2)
    assert json.loads((out / "masks/masks.json").read_text())
    rows = pytest.importorskip("pyarrow.parquet").read_table(out / "results.parquet").to_pylist()
    assert {row["head"] for row in rows} == {"softmax", "masks", "metres", "boxes"}
    assert sum(row["head"] == "boxes" for row in rows) == len(detections)
    assert len((out / "results.jsonl").read_text().splitlines()) == 3


def test_a_second_run_takes_its_own_links_away_and_no_image(model, photos, tmp_path):
    out = photos / "out"  # inside the folder that is looked at
    held = {path: path.read_bytes() for path in photos.rglob("*.*")}
    assert run("detect", photos, "--save", "yolo,voc", "--out", out, model=model).exit_code == 0
    again = run("detect", photos, "--save", "yolo", "--out", out, model=model)
    assert again.exit_code == 0, again.output
    assert len((out / "results.jsonl").read_text().splitlines()) == 3  # links to images are not images to look at
    assert not (out / "boxes/voc").exists() and len(list((out / "boxes/yolo/images").rglob("*.*g"))) == 3
    run("detect", photos / "a.png", "--save", "yolo", "--out", out, model=model)
    assert [path.name for path in (out / "boxes/yolo/images").rglob("*.*")] == ["a.png"]
    assert {path: path.read_bytes() for path in held} == held


def test_a_glob_and_single_files_keep_the_stems_of_their_images(model, photos, tmp_path):
    done = run(
        "detect", photos / "*.*g", photos / "more/a.png", "--save", "yolo", "--out", tmp_path / "out", model=model
    )
    assert done.exit_code == 0, done.output
    labels = tmp_path / "out/boxes/yolo/labels"
    assert {path.name for path in labels.iterdir()} == {"a.txt", "two words.txt", "a-1.txt"}
    assert f"another image is: a-1 is of {photos / 'more/a.png'}" in done.stderr


def test_formats_are_checked_before_a_model_is_opened(photos, tmp_path, monkeypatch):
    typo = run("detect", photos, "--save", "coco,yolo5", "--out", tmp_path / "out", model="nowhere")
    assert isinstance(typo.exception, ArgusError) and "unknown format of results 'yolo5'" in str(typo.exception)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    missing = run("detect", photos, "--save", "parquet", "--out", tmp_path / "out", model="nowhere")
    assert "pip install 'argus-perception[parquet]'" in str(missing.exception)
    assert not (tmp_path / "out").exists()


def test_a_format_that_no_head_fills_is_refused(model, photos, tmp_path):
    done = run("perceive", photos, "--tasks", "masks", "--save", "yolo", "--out", tmp_path / "out", model=model)
    assert isinstance(done.exception, ArgusError)
    assert "yolo holds answers of detect heads, and here only segment answers" in str(done.exception)
    assert not Path(tmp_path / "out").exists()


def test_formats_that_are_always_written_may_be_named(model, photos, tmp_path):
    done = run("detect", photos / "a.png", "--save", " coco , jsonl,", "--out", tmp_path / "out", model=model)
    assert done.exit_code == 0, done.output
    assert (tmp_path / "out/boxes/detections.json").is_file()
