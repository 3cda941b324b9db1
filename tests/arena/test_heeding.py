"""Commands refuse data that make a result wrong, warn once of doubtful ones, and never end well without a score."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from coco_folders import box, image, write

CATEGORIES = [{"id": 1, "name": "cat"}, {"id": 18, "name": "dog"}]
LIVE = "--backbone tiny --canvas 64"
HEAD = "--head detect.prototype --set steps=1"


def coco(root: Path, edit=lambda split, images, annotations: None) -> str:
    """Six images of two boxes each to train on, and three to score."""
    for split, first, count in (("train", 1, 6), ("val", 11, 3)):
        images = [image(n) for n in range(first, first + count)]
        annotations = [
            box(2 * n + k, n, (1, 18)[k], (3 + 9 * k + n % 5, 4, 15 + n % 7, 16 + k))
            for n in range(first, first + count)
            for k in (0, 1)
        ]
        edit(split, images, annotations)
        write(root / f"{split}.json", images, annotations, CATEGORIES, root)
    return f"coco:{root}"


def ids_as_names(split, images, annotations):
    for one in annotations:
        one["image_id"] = f"picture-{one['image_id']}"


def nothing_to_score(split, images, annotations):
    if split == "val":
        annotations.clear()


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run on good data, of which there is nothing to say, for commands that need one."""
    from arena_help import train_run

    root, said = tmp_path_factory.mktemp("good"), io.StringIO()
    given = {"heads": ("detect.prototype",), "data": coco(root), "backbone": "tiny", "canvas": "64"}
    with contextlib.redirect_stderr(said):
        train_run(given, {"steps": 1}, root / "run")
    assert "warning" not in said.getvalue()
    assert "accept" not in (root / "run/prototype/result.json").read_text()
    return root / "run"


@pytest.mark.parametrize(
    "line",
    [
        "cache --data {bad} --out {out} --backbone tiny --canvas 64",
        f"train {HEAD} --data {{bad}} {LIVE} --out {{out}}",
        f"compare {HEAD} --data {{bad}} {LIVE} --out {{out}}",
        "eval --run {run} --data {bad}",
    ],
)
def test_every_command_that_reads_data_refuses_them_in_the_same_words(line, arena, trained, tmp_path):
    bad = coco(tmp_path / "bad", ids_as_names)
    code, out, err = arena(line.format(bad=bad, out=tmp_path / "out", run=trained))
    assert code == 2 and "annotations of unknown images" in err and "--accept-faults" in err, out + err
    assert not list((tmp_path / "out").rglob("result.json")) and "Traceback" not in err
    code, out, _ = arena(f"data check {bad}")
    assert code == 1 and "refused: train: annotations of unknown images: 12 of 12" in out


def test_a_cache_tells_of_images_that_were_turned_and_of_those_in_both_splits(arena, tmp_path):
    data = coco(tmp_path / "data")
    shutil.copy(tmp_path / "data/6.png", tmp_path / "data/11.png")
    turned = Image.Exif()
    turned[0x0112] = 6
    for n in range(1, 3):
        with Image.open(tmp_path / "data" / f"{n}.png") as kept:
            kept.save(tmp_path / "data" / f"{n}.png", exif=turned)
    write = f"cache --data {data} --out {tmp_path / 'cache'} --backbone tiny --canvas 64"
    code, _, err = arena(write)
    assert code == 2 and "images that are turned, or of another size, than the annotations say: 2 of 6" in err
    code, _, err = arena(f"{write} --accept-faults")
    assert code == 0 and err.count("warning: train: images that are turned") == 1
    train = f"train {HEAD} --data {data} --cache {tmp_path / 'cache'} --out {tmp_path / 'run'}"
    code, _, err = arena(train)
    assert code == 2 and "2 of 6, such as train, image 1.png: the annotations say 30x40" in err
    code, _, err = arena(f"{train} --accept-faults")
    assert "warning: 1 of 3 images of val are also in train, byte for byte: scores are too good" in err
    notes = json.loads((tmp_path / "run/prototype/result.json").read_text())["notes"]
    assert code == 0 and "accepted with --accept-faults: train: images that are turned" in str(notes)


def test_a_score_that_cannot_be_computed_is_an_error(arena, trained, tmp_path):
    data = coco(tmp_path / "data", nothing_to_score)
    words = "AP could not be computed on split 'val': accepted with --accept-faults: val, detect: no image has a box"
    code, _, err = arena(f"train {HEAD} --data {data} {LIVE} --out {tmp_path}/one --accept-faults")
    assert code == 2 and f"prototype: {words}" in err
    code, _, err = arena(f"eval --run {trained} --data {data} --accept-faults")
    assert code == 2 and f"prototype: {words}" in err
