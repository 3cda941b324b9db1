"""``argus teach`` on real files: what it writes and prints, and what it refuses before it begins."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from argus_core import Argus, Canvas, Classify, build_head, load_backbone
from argus_core.cli.commands import app
from argus_core.errors import ArgusError

COLOURS = {"red": (220, 40, 30), "blue": (30, 60, 220)}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A model with one head, class folders, and a pool of other images with a damaged one."""
    root, random = tmp_path_factory.mktemp("world"), np.random.default_rng(0)
    backbone = load_backbone("tiny")
    torch.manual_seed(0)
    head = build_head("classify.linear", backbone.info, Classify(classes=("x", "y")))
    head.canvas = Canvas(64)
    Argus(backbone, {"kinds": head}).save(root / "model")
    for folder, count in (("colours/red", 3), ("colours/blue", 3), ("pool/a", 3), ("pool/b", 2)):
        (root / folder).mkdir(parents=True)
        for number in range(count):
            colour = COLOURS.get(folder.partition("/")[2], random.integers(0, 255, 3))
            pixels = np.clip(np.array(colour) + random.integers(-20, 20, (40, 60, 3)), 0, 255)
            Image.fromarray(pixels.astype(np.uint8)).save(root / folder / f"{number}.png")
    (root / "pool" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing")
    return root


@pytest.fixture
def argus(world, monkeypatch):
    """``argus(*words)``: the finished command, run beside the files of ``world``."""
    monkeypatch.chdir(world)
    return lambda *words: CliRunner().invoke(app, ["teach", *words])


def refusal(done):
    """What a command says that refuses to do what it is asked."""
    assert isinstance(done.exception, ArgusError), done.output
    return str(done.exception)


def test_a_folder_is_taught_and_what_to_annotate_next_is_suggested(argus, world):
    words = ("colours", "--model", "model", "--out", "taught", "--suggest", "pool", "--count", "2")
    done = argus(*words, "--suggest-out", "next")
    assert done.exit_code == 0, done.output
    assert "red   3 images" in done.output and "score: top1" in done.output
    assert "argus classify PHOTO --model taught --head colours" in done.output
    assert "1 image left out" in done.output and "broken.png" in done.output
    assert [*Argus.load(world / "taught").heads] == ["kinds", "colours"]
    said = json.loads((world / "next" / "suggest.json").read_text())
    assert said["head"] == "colours" and said["looked_through"] == 5 and len(said["suggested"]) == 2
    assert all((world / row["image"]).is_file() and row["said"] for row in said["suggested"])
    with Image.open(world / "next" / "suggest.jpg") as sheet:
        assert sheet.width > 300


def test_a_head_that_is_there_suggests_without_new_annotations(argus, world):
    done = argus("--model", "model", "--suggest", "pool", "--suggest-out", "more")
    assert done.exit_code == 0, done.output
    assert len(json.loads((world / "more" / "suggest.json").read_text())["suggested"]) == 5


def test_a_head_is_replaced_where_that_is_asked_for(argus, world):
    words = ("colours", "--model", "model", "--name", "kinds", "--folds", "0", "--out", "other")
    assert "has a head 'kinds' already" in refusal(argus(*words))
    assert not (world / "other").exists()
    done = argus(*words, "--replace", "--head", "classify.knn", "--set", "k=3", "--canvas", "96")
    assert done.exit_code == 0, done.output
    head = Argus.load(world / "other").head("kinds")
    assert (head.name, head.options["k"], head.canvas) == ("classify.knn", 3, Canvas(96))
    assert "argus classify PHOTO --model other\n" in done.output and "score" not in done.output


@pytest.mark.parametrize(
    ("words", "what"),
    [
        ((), "give annotated images"),
        (("--suggest", "pool", "--out", "new"), "there is no new model"),
        (("colours",), "say where the taught model goes"),
        (("colours", "--out", "model"), "exists already"),
        (("colours", "--out", "new", "--head", "classify.rigde"), "unknown head"),
        (("colours", "--out", "new", "--set", "k"), "is not KEY=VALUE"),
        (("nowhere", "--out", "new"), "nowhere"),
        (("--suggest", "nowhere"), "there is no file or folder"),
        (("colours/red", "--out", "new"), "not recognised as a data set"),
    ],
)
def test_what_is_asked_wrongly_is_refused(argus, world, words, what):
    assert what in refusal(argus(*words, "--model", "model"))
    assert not (world / "new").exists()


def test_what_is_asked_wrongly_is_refused_before_the_model_is_loaded(argus, monkeypatch):
    monkeypatch.setattr(Argus, "load", pytest.fail)
    taught = ("colours", "--model", "model", "--out", "new")
    for words, what in (
        ((*taught, "--task", "segment"), "no annotations for 'segment'; it has classify"),
        ((*taught, "--split", "val"), "no split 'val', only all"),
        ((*taught, "--name", "a.b"), "cannot name a head"),
        ((*taught, "--name", "kinds"), "has a head 'kinds' already (classify.linear)"),
        ((*taught, "--head", "classify.linear"), "is trained, not solved"),
        ((*taught, "--head", "segment.ridge"), "solves segment, the data has classify"),
        ((*taught, "--set", "rool=lda"), "did you mean 'rule'"),
        (("--model", "model", "--suggest", "pool", "--name", "kind"), "did you mean 'kinds'"),
        (("--model", "model", "--suggest", "pool", "--task", "depth"), "no head here solves 'depth'"),
        ((*taught, "--suggest", "pool", "--suggest-out", "pool"), "choose another --suggest-out"),
        (("colours", "--model", "model", "--suggest", "colours"), "6 images to choose from are annotated already"),
    ):
        assert what in refusal(argus(*words)), words


def test_images_that_are_annotated_are_not_suggested(argus, world, tmp_path):
    pool = shutil.copytree(world / "pool", tmp_path / "pool")
    shutil.copy(world / "colours" / "red" / "1.png", pool / "a" / "copy.png")
    (pool / "link.png").symlink_to(world / "colours" / "blue" / "2.png")
    done = argus("colours", "--model", "model", "--suggest", str(pool), "--suggest-out", str(tmp_path / "next"))
    assert done.exit_code == 0 and "notice: 2 images left out: annotated already" in done.output, done.output
    said = json.loads((tmp_path / "next" / "suggest.json").read_text())
    assert said["looked_through"] == 5 and said["annotated"] == 2
    assert not {"copy.png", "link.png"} & {Path(row["image"]).name for row in said["suggested"]}


def test_the_folder_for_suggestions_has_its_own_option(argus, world):
    words = ("--model", "model", "--suggest", "pool", "--suggest-out")
    assert "choose another --suggest-out" in refusal(argus(*words, "pool"))
    assert "choose another --suggest-out" in refusal(argus(*words, "model/config.json/x"))


def test_an_unreadable_image_stops_a_lesson_unless_that_is_accepted(argus, world, tmp_path):
    data = shutil.copytree(world / "colours", tmp_path / "colours")
    (data / "red" / "broken.png").write_bytes(b"no image")
    words = (str(data), "--model", "model", "--out", str(tmp_path / "new"))
    assert "broken.png" in refusal(argus(*words))
    done = argus(*words, "--accept-faults")
    assert done.exit_code == 0 and "left out" in done.output and "red   3 images" in done.output, done.output


def test_a_folder_without_images_has_nothing_to_suggest(argus, world):
    (world / "empty").mkdir(exist_ok=True)
    assert "holds no images" in refusal(argus("--model", "model", "--suggest", "empty"))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--out", "colours", "--overwrite"), "holds the annotated images"),
        (("--out", "fresh", "--folds", "1"), "--folds 1 leaves no images to learn from"),
        (("--out", "fresh", "--suggest", "model"), "holds no images"),
        (("--out", "model/config.json", "--overwrite"), "is a file"),
        (("--out", "fresh", "--name", "kinds", "--task", "classify"), "has a head 'kinds' already"),
    ],
)
def test_what_cannot_be_done_is_told_before_anything_is_written(argus, world, words, told):
    before = sorted(world.rglob("*"))
    assert told in refusal(argus("colours", "--model", "model", *words))
    assert sorted(world.rglob("*")) == before
