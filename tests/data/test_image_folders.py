"""Images in folders with masks, depth maps and labels beside them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from argus_core.data.check import check_data
from argus_core.errors import ArgusError
from argus_core.plugins.data_spec import open_data
from argus_core.plugins.hooks import load_plugins
from argus_data.folders.image_folders import open_images
from mask_folders import SIZE, folders, save_image, save_mask

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"
MASKS = {"masks": "masks", "classes": "classes.json"}


def texts(split):
    return [str(fault) for fault in split.faults()]


def test_splits_are_folders(tmp_path):
    data = open_images(folders(tmp_path, ("train", "val", "test")), **MASKS)
    assert list(data) == ["train", "val", "test"]
    for split in data.values():
        assert [split.key(i) for i in range(len(split))] == ["a.jpg", "b.jpg", "c.jpg"]
        assert [split.truth(i, "segment").max() for i in range(3)] == [0, 1, 2]
        assert split.tasks["segment"].classes == ("wall", "floor", "bed") and not split.faults()
        assert split.read(0).shape == (*SIZE, 3)
    assert data["train"].annotation_digest() == data["val"].annotation_digest()


@pytest.mark.parametrize(("folder", "name"), [("validation", "val"), ("valid", "val"), ("training", "train")])
def test_other_names_of_splits(tmp_path, folder, name):
    assert list(open_images(folders(tmp_path, (folder,)), **MASKS)) == [name]


def test_without_split_folders_everything_is_one_split(tmp_path):
    data = open_images(folders(tmp_path, ("",)), **MASKS)
    assert list(data) == ["all"] and len(data["all"]) == 3


def test_images_alone_have_no_task(tmp_path):
    data = open_images(folders(tmp_path))
    assert not data["train"].tasks and len(data["train"]) == 3 and not data["train"].faults()


def test_images_in_subfolders_keep_their_path(tmp_path):
    folders(tmp_path, ("train",))
    save_image(tmp_path / "images/train/room/a.png", 9)
    save_mask(tmp_path / "masks/train/room/a.png", 2)
    split = open_images(tmp_path, **MASKS)["train"]
    assert split.key(3) == "room/a.png" and split.truth(3, "segment").max() == 2


def test_what_has_no_partner_is_a_fault_and_left_out(tmp_path):
    folders(tmp_path)
    (tmp_path / "masks/train/b.png").unlink()
    save_mask(tmp_path / "masks/val/z.png", 0)
    data = open_images(tmp_path, **MASKS)
    assert [data["train"].key(i) for i in range(2)] == ["a.jpg", "c.jpg"]
    assert texts(data["train"]) == ["train, image b.jpg: it has no mask (left out)"]
    assert texts(data["val"]) == [f"{tmp_path / 'masks/val/z.png'}: a mask without an image"]
    assert [data["train"].truth(i, "segment").max() for i in range(2)] == [0, 2]


def test_no_partner_at_all_is_refused(tmp_path):
    folders(tmp_path)
    for name in "abc":
        (tmp_path / f"masks/train/{name}.png").rename(tmp_path / f"masks/train/{name}_mask.png")
    with pytest.raises(ArgusError, match=r"'train': none of 3 images has a mask of its name; train, image a\.jpg"):
        open_images(tmp_path, **MASKS)


def test_two_masks_of_one_image_are_refused(tmp_path):
    folders(tmp_path)
    save_mask(tmp_path / "masks/train/a.bmp", 0)
    save_mask(tmp_path / "masks/train/c.bmp", 0)
    with pytest.raises(ArgusError, match=r"both claim.*: a\.bmp and a\.png; c\.bmp and c\.png$"):
        open_images(tmp_path, **MASKS)


def test_the_check_tells_wrong_masks_in_words(tmp_path):
    folders(tmp_path, ("train",))
    save_mask(tmp_path / "masks/train/a.png", np.zeros((16, 12), np.uint8))
    save_mask(tmp_path / "masks/train/b.png", 9)
    save_mask(tmp_path / "masks/train/c.png", 0, "RGB")
    report = check_data(open_images(tmp_path, **MASKS))["train"]
    told = "\n".join(map(str, report.faults))
    for words in ("16x12 (height x width), the image 12x16", "label 9 (192 pixels)", "one channel"):
        assert words in told


@pytest.mark.parametrize(
    ("content", "spec"),
    [
        (["wall", "floor", "bed"], "names.json"),
        ({"classes": ["wall", "floor", "bed"]}, "names.json"),
        ({"names3": ["wall", "floor", "bed"], "ignore_index": 7}, "names.json:names3"),
    ],
)
def test_classes_come_from_a_file(tmp_path, content, spec):
    folders(tmp_path)
    (tmp_path / "names.json").write_text(json.dumps(content))
    task = open_images(tmp_path, masks="masks", classes=spec)["train"].tasks["segment"]
    assert task.classes == ("wall", "floor", "bed")
    assert task.ignore == (7 if "names3" in spec else 255)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"masks": "masks"}, "classes=FILE.json"),
        ({"masks": "masks", "classes": "nothing.json"}, "nothing.json"),
        ({"masks": "masks", "classes": "classes.json:names"}, "key 'names'"),
        ({"masks": "masks", "classes": "classes.json", "remap": "classes.json:classes"}, "list of int"),
        ({"masks": "labels", "classes": "classes.json"}, "labels"),
        ({"images": "pictures"}, "pictures"),
        ({"limit": -1}, "limit=-1"),
    ],
)
def test_wrong_options_are_told(tmp_path, options, words):
    with pytest.raises(ArgusError, match=words):
        open_images(folders(tmp_path), **options)


def test_limit_keeps_the_first_that_are_whole(tmp_path):
    folders(tmp_path)
    for name in "ac":
        (tmp_path / f"masks/train/{name}.png").unlink()
    split = open_images(tmp_path, **MASKS, limit=1)["train"]
    assert texts(split) == ["train, image a.jpg: it has no mask (left out)"]
    assert len(split) == 1 and split.key(0) == "b.jpg" and split.truth(0, "segment").max() == 1


def test_remap_renumbers(tmp_path):
    folders(tmp_path)
    (tmp_path / "meta.json").write_text(json.dumps({"two": ["flat", "thing"], "to2": [0, 0, 1]}))
    split = open_images(tmp_path, masks="masks", classes="meta.json:two", remap="meta.json:to2")["train"]
    assert [split.truth(i, "segment").max() for i in range(3)] == [0, 0, 1]


def test_depth_and_labels_lie_beside_masks(tmp_path):
    folders(tmp_path)
    for split in ("train", "val"):
        for number, name in enumerate("abc"):
            (tmp_path / "depth" / split).mkdir(parents=True, exist_ok=True)
            depth = np.full(SIZE, 100 * (number + 1), np.uint16)
            Image.fromarray(depth).save(tmp_path / "depth" / split / f"{name}.png")
    labels = {f"{split}/{name}.jpg": name.upper() for split in ("train", "val") for name in "abc"}
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    split = open_images(tmp_path, **MASKS, depth="depth", unit="cm", labels="labels.json")["train"]
    assert set(split.tasks) == {"segment", "depth", "classify"}
    assert split.truth(1, "depth").max() == pytest.approx(2.0) and split.truth(2, "classify") == 2
    (tmp_path / "depth/train/b.png").unlink()
    again = open_images(tmp_path, **MASKS, depth="depth", unit="cm")["train"]
    assert [again.key(i) for i in range(2)] == ["a.jpg", "c.jpg"]
    assert texts(again) == ["train, image b.jpg: it has no depth map (left out)"]


def test_a_spec_opens_it(tmp_path):
    folders(tmp_path)
    data = open_data(f"images:{tmp_path},masks=masks,classes=classes.json,limit=2", load_plugins())
    assert len(data["val"]) == 2


REAL = {
    "camvid": (MASKS, (184, 101), 11, 0),
    "nyuv2": ({"masks": "labels40", "classes": "meta.json:classes13", "remap": "meta.json:to13"}, (440, 160), 13, 0),
    "coco256": ({"masks": "masks", "classes": "semantic_classes.json"}, (100, 100), 129, 28),
}


@pytest.mark.parametrize("name", REAL)
def test_real_folders(name):
    if not (SHARED / name).is_dir():
        pytest.skip("the real data are not here")
    options, sizes, classes, missing = REAL[name]
    data = open_images(SHARED / name, **options)
    assert tuple(map(len, data.values())) == sizes
    for split in data.values():
        task = split.tasks["segment"]
        assert len(task.classes) == classes and len(split.faults()) == missing
        assert all(fault.dropped for fault in split.faults())
        for index in range(0, len(split), 25):
            assert task.fault(split.truth(index, "segment"), split.read(index).shape[:2]) == ""
