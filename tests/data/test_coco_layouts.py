"""COCO files as annotation tools lay them out, and images that are named otherwise than they lie."""

from __future__ import annotations

import json

import pytest

from argus_core.errors import ArgusError
from argus_core.plugins.data_spec import explicit_spec
from argus_core.testing import check_data as kit
from argus_data.coco.layout import coco_layout
from argus_data.coco.split import open_coco
from coco_folders import box, image, paint, write

SEGMENT = {"counts": [600, 3, 597], "size": [30, 40]}
CVAT = {"attributes": {"occluded": False, "rotation": 0.0}, "segmentation": SEGMENT, "iscrowd": 0}


def store(root, file, name="1.png", place=None, number=1, **changes):
    """An annotation file of one image called ``name``, which lies at ``place``."""
    write(root / file, [image(number, file_name=name)], [box(1, number, **changes)])
    paint(root / (place or name), 30, 40, number)


@pytest.mark.parametrize(
    "file, name, place",
    [
        ("annotations/instances_default.json", "1.png", "images/1.png"),  # CVAT
        ("annotations/instances_default.json", "sub/1.png", "images/default/sub/1.png"),
        ("annotations/instances_default.json", "1.png", "1.png"),
        ("annotations/instances_default.json", "1.png", "default/1.png"),
        ("labels.json", "1.png", "data/1.png"),  # FiftyOne
        ("result.json", "images/a b.png", "images/a b.png"),  # Label Studio
        ("result.json", "images\\1.png", "images/1.png"),
        ("result.json", "images/a%20b%25.png", "images/a b%.png"),
        ("result.json", "../../label-studio/data/media/upload/7/0a1b-1.png", "images/0a1b-1.png"),
        ("result.json", "/data/local-files/?d=scans/a%20b.png", "scans/a b.png"),
        ("annotations.json", "JPEGImages/1.png", "JPEGImages/1.png"),  # labelme2coco
        ("_annotations.coco.json", "1.png", "1.png"),
        ("any name.json", "C:\\Users\\me\\pets\\images\\1.png", "images/1.png"),
        ("any name.json", "pets/images/1.png", "images/1.png"),
    ],
)
def test_one_file_is_one_split(tmp_path, file, name, place):
    store(tmp_path, file, name, place, **CVAT)
    data = open_coco(tmp_path)
    assert list(data) == ["all"] and data["all"].read(0).shape == (30, 40, 3) and not data["all"].faults()
    assert data["all"].truth(0, "detect").boxes.tolist() == [[4, 5, 14, 13]]
    assert coco_layout(tmp_path) == file and not any(kit(lambda: open_coco(tmp_path)).values())
    assert open_coco(tmp_path / file)["all"].annotation_digest() == data["all"].annotation_digest()
    assert coco_layout(tmp_path / file) and explicit_spec(str(tmp_path))[0] == f"coco:{tmp_path}"


@pytest.mark.parametrize(
    "train, val, images",
    [
        ("annotations/instances_Train.json", "annotations/instances_Validation.json", "images/{}/{}.png"),  # CVAT
        ("annotations/instances_train.json", "annotations/instances_val.json", "images/{}.png"),
        ("annotations/train.json", "annotations/val.json", "{}/{}.png"),
        ("train/labels.json", "validation/labels.json", "{}/data/{}.png"),  # FiftyOne
        ("train/annotations.json", "val/annotations.json", "{}/images/{}.png"),
        ("train/_annotations.coco.json", "valid/_annotations.coco.json", "{}/{}.png"),
        ("instances_train2017.json", "instances_val2017.json", "images/{}.png"),
        ("train_annotations.json", "val_annotations.json", "{}/{}.png"),
        ("annotations_train.json", "annotations_val.json", "images/{}/{}.png"),
    ],
)
def test_splits(tmp_path, train, val, images):
    for number, file in enumerate((train, val), 1):
        folder = file.split("/")[0] if images.startswith("{}/data") or images.startswith("{}/images") else ""
        words = [word for word in ("Train", "train", "Validation", "valid", "val") if word in file]
        store(tmp_path, file, f"{number}.png", _place(images, folder or words[0], number), number)
    data = open_coco(tmp_path)
    assert list(data) == ["train", "val"] and [split.key(0) for split in data.values()] == ["1.png", "2.png"]
    assert all(split.read(0).shape == (30, 40, 3) for split in data.values()) and coco_layout(tmp_path)
    assert not any(kit(lambda: open_coco(tmp_path)).values())


def _place(images, folder, number):
    return images.format(folder, number) if images.count("{}") == 2 else images.format(number)


def test_images_in_several_places_are_those_that_most_names_lead_to(tmp_path):
    names = [f"{n}.png" for n in range(1, 5)]
    write(tmp_path / "labels.json", [image(n, file_name=name) for n, name in enumerate(names, 1)], [box(1)])
    for n, name in enumerate(names, 1):
        paint(tmp_path / "data" / name, 30, 40, n)
    paint(tmp_path / "1.png", 9, 9, 9)
    assert open_coco(tmp_path)["all"].read(0).shape == (30, 40, 3)


def test_folders_before_names_are_only_left_out_while_names_differ(tmp_path):
    write(tmp_path / "labels.json", [image(1, file_name="a/1.png"), image(2, file_name="b/1.png")], [box(1)])
    paint(tmp_path / "1.png", 30, 40, 1)
    split = open_coco(tmp_path)["all"]
    assert [split.key(0), split.key(1)] == ["a/1.png", "b/1.png"]
    with pytest.raises(ArgusError, match=r"a/1\.png"):
        split.read(0)


def test_a_percent_sign_may_be_one(tmp_path):
    store(tmp_path, "labels.json", "50%20off.png")
    paint(tmp_path / "50 off.png", 9, 9, 2)
    assert open_coco(tmp_path)["all"].read(0).shape == (30, 40, 3)


def test_several_files_that_could_be_meant(tmp_path):
    store(tmp_path, "first.json")
    store(tmp_path, "second.json")
    with pytest.raises(ArgusError, match=r"several annotation files, first\.json, second\.json; give one of them"):
        open_coco(tmp_path)
    assert len(open_coco(tmp_path / "second.json")["all"]) == 1


@pytest.mark.parametrize(
    "content", ['[{"id": 1, "annotations": []}]', '{"samples": []}', '{"pairs": []}', "{", "", '{"annotations": [1]}']
)
def test_other_json_is_not_taken_for_it(tmp_path, content):
    (tmp_path / "result.json").write_text(content)
    assert not coco_layout(tmp_path) and not coco_layout(tmp_path / "result.json") and not coco_layout(tmp_path / "no")
    with pytest.raises(ArgusError, match=r"holds no COCO data set; looked for .*one file such as .*labels\.json"):
        open_coco(tmp_path)


def test_lists_of_images_may_stand_last(tmp_path):
    store(tmp_path, "labels.json")
    content = json.loads((tmp_path / "labels.json").read_text())
    content["annotations"] = [{**content["annotations"][0], "id": n} for n in range(2000)]
    (tmp_path / "labels.json").write_text(json.dumps({**content, "images": content.pop("images")}))
    assert coco_layout(tmp_path) == "labels.json"
