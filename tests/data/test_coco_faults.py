"""Broken annotation files, and the check that also reads every image."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from argus_core.data.check import check_data
from argus_core.errors import ArgusError
from argus_data.coco.split import open_coco
from argus_data.scenes.split import open_scenes
from coco_folders import box, flat, image, paint, write

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    "entry, words, dropped",
    [
        (box(2, bbox=(NAN, 1, 2, 3)), "not finite", True),
        (box(2, bbox=(1, 1, INF, 3)), "not finite", True),
        (box(2, bbox=(1, 1, -2, 3)), "no area", True),
        (box(2, bbox=(1, 1, 5, 0)), "no area", True),
        (box(2, bbox=(1, 1, 5)), "not four numbers", True),
        (box(2, bbox=(1, 1, 5, "7")), "not four numbers", True),
        (box(2, bbox=()), "not four numbers", True),
        (box(2, bbox=(50, 1, 5, 5)), "lies outside", True),
        (box(2, bbox=(-9, -9, 9, 9)), "lies outside", True),
        (box(2, image_id=77), "image id 77", True),
        (box(2, category=2), "category id 2", True),
        (box(2, category=None), "category id None", True),
        ("text", "not an object", True),
        (box(1, bbox=(2, 2, 3, 3)), "used twice", False),
        (box(2, area=-4.0), "area -4.0", False),
        (box(2, bbox=(30, 20, 20, 20)), "leaves 1.png", False),
    ],
)
def test_every_broken_annotation_is_named(tmp_path, entry, words, dropped):
    split = flat(tmp_path, [box(1), entry])
    (fault,) = split.faults()
    assert words in fault.what and fault.dropped is dropped and "train.json" in fault.where
    truth = split.truth(0, "detect")
    assert len(truth.labels) == (1 if dropped else 2)
    assert np.isfinite(truth.boxes).all() and (truth.area > 0).all()
    assert (truth.boxes >= 0).all() and (truth.boxes <= (40, 30, 40, 30)).all()


def test_boxes_are_cut_at_the_border_and_rounding_is_no_fault(tmp_path):
    split = flat(tmp_path, [box(1, bbox=(-3, 20, 10, 20)), box(2, bbox=(0, 0, 40.3, 30.0))])
    assert split.truth(0, "detect").boxes.tolist() == [[0, 20, 7, 30], [0, 0, 40, 30]]
    assert [fault.where for fault in split.faults()] == ["train.json, annotation 1"]


@pytest.mark.parametrize(
    "entry, words",
    [
        (image(1, file_name="other.png"), "belongs to 1.png"),
        (image(9, file_name="1.png"), "listed twice"),
        ({"id": 9}, "needs an id and a file_name"),
        ("text", "needs an id and a file_name"),
    ],
)
def test_broken_images_are_left_out(tmp_path, entry, words):
    write(tmp_path / "train.json", [image(1), entry, image(2)], [box(1, 2)])
    split = open_coco(tmp_path)["train"]
    (fault,) = split.faults()
    assert words in fault.what and fault.dropped
    assert [split.key(i) for i in range(len(split))] == ["1.png", "2.png"]
    assert len(split.truth(1, "detect").labels) == 1


def test_an_image_of_unknown_size_keeps_its_boxes(tmp_path):
    write(tmp_path / "train.json", [image(1, width=None)], [box(1, bbox=(100, -5, 10, 10))])
    split = open_coco(tmp_path)["train"]
    assert split.truth(0, "detect").boxes.tolist() == [[100, 0, 110, 5]]
    assert "height and width (30, None)" in split.faults()[0].what


def test_missing_images_are_errors_with_their_path(tmp_path):
    write(tmp_path / "train.json", [image(1)], [])
    split = open_coco(tmp_path)["train"]
    for ask in (split.read, split.digest, split.stamp):
        with pytest.raises(ArgusError, match=r"1\.png"):
            ask(0)


def test_check_finds_what_only_the_images_show(tmp_path):
    images = [image(n) for n in range(1, 7)]
    write(tmp_path / "train.json", images, [box(1), box(2, iscrowd=1), box(3, 2, 1)], folder=tmp_path)
    write(tmp_path / "val.json", [image(11)], [], folder=tmp_path)
    (tmp_path / "2.png").unlink()
    (tmp_path / "3.png").write_bytes(b"not an image")
    paint(tmp_path / "4.png", 30, 50, 0)
    (tmp_path / "5.png").write_bytes((tmp_path / "1.png").read_bytes())
    (tmp_path / "11.png").write_bytes((tmp_path / "1.png").read_bytes())
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.new("RGB", (40, 30)).save(tmp_path / "6.png", exif=turned)
    reports = check_data(open_coco(tmp_path))
    faults = {fault.where: fault.what for fault in reports["train"].faults}
    assert len(faults) == len(reports["train"].faults) == 5
    assert "no such file" in faults["train, image 2.png"] and "3.png" in faults["train, image 3.png"]
    assert "30x40 (height x width), the image has 30x50" in faults["train, image 4.png"]
    assert faults["train, image 5.png"] == "the same bytes as train, image 1.png"
    assert "EXIF" in faults["train, image 6.png"]
    assert [fault.what for fault in reports["val"].faults] == [
        "the same bytes as train, image 1.png",
        "no image has a box: there is nothing to learn or to score",
    ]
    summary = reports["train"].summary
    assert summary == {
        "images": 6,
        "readable": 4,
        "height": [30, 40],
        "width": [30, 50],
        "boxes": 3,
        "boxes_per_class": {"cat": 1, "dog": 2, "brush": 0},
        "images_without_boxes": 4,
        "crowd": 1,
    }
    assert json.loads(json.dumps(summary)) == summary


def test_check_passes_scenes():
    reports = check_data(open_scenes(images=4, val=2, size=32))
    assert [report.faults for report in reports.values()] == [[], []]
    assert reports["train"].summary["height"] == [32, 32]
