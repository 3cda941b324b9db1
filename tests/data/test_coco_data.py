"""COCO folders: layouts, classes, digests, and real data against pycocotools."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO

from argus_core.data.check import check_split
from argus_core.errors import ArgusError
from argus_data.coco.split import open_coco
from coco_folders import CATEGORIES, box, flat, image, paint, write

SHARED = Path(__file__).resolve().parents[2].parent / "shared"


def official(root: Path, name: str = "train2017") -> None:
    write(root / f"annotations/instances_{name}.json", [image(1)], [box(1)], folder=root / name)


def roboflow(root: Path, name: str) -> None:
    folder = root / name
    first = {"id": 0, "name": "animals", "supercategory": "none"}
    others = [{"id": i + 1, "name": n, "supercategory": "animals"} for i, n in enumerate(("dog", "cat"))]
    write(folder / "_annotations.coco.json", [image(1)], [box(1, category=2)], [first, *others], folder)


def test_official_layout(tmp_path):
    official(tmp_path, "train2017")
    official(tmp_path, "val2017")
    data = open_coco(str(tmp_path))
    assert list(data) == ["train", "val"] and [split.name for split in data.values()] == ["train", "val"]
    assert data["val"].read(0).shape == (30, 40, 3)
    truth = data["train"].truth(0, "detect")
    assert truth.boxes.tolist() == [[4, 5, 14, 13]] and truth.area.tolist() == [50] and not truth.crowd.any()
    # Sparse ids become 0, 1, 2 in the order of the ids.
    assert truth.labels.tolist() == [1] and data["train"].tasks["detect"].classes == ("cat", "dog", "brush")


def test_layouts_are_known_in_any_case(tmp_path):
    official(tmp_path / "official", "valid")  # which begins as val does
    (tmp_path / "official/valid").rename(tmp_path / "official/Valid")
    roboflow(tmp_path / "roboflow", "Train")
    write(tmp_path / "flat/VAL.JSON", [image(1)], [box(1)], folder=tmp_path / "flat")
    for name, split in (("official", "val"), ("roboflow", "train"), ("flat", "val")):
        data = open_coco(tmp_path / name)
        assert list(data) == [split] and data[split].read(0).shape == (30, 40, 3)


def test_roboflow_layout_without_its_nameless_class(tmp_path):
    for name in ("train", "valid", "test"):
        roboflow(tmp_path, name)
    data = open_coco(tmp_path)
    assert list(data) == ["train", "val", "test"]
    assert data["val"].tasks["detect"].classes == ("dog", "cat")
    assert data["val"].truth(0, "detect").labels.tolist() == [1]
    assert data["test"].read(0).shape == (30, 40, 3)


def test_roboflow_class_that_is_named_like_its_parent(tmp_path):
    categories = [
        {"id": 0, "name": "dog", "supercategory": "none"},
        {"id": 1, "name": "dog", "supercategory": "dog"},
    ]
    split = flat(tmp_path, [box(1, category=1)], categories=categories)
    assert split.classes == ("dog",) and split.truth(0, "detect").labels.tolist() == [0]


def test_a_parent_that_has_objects_stays(tmp_path):
    categories = [
        {"id": 0, "name": "animal", "supercategory": "none"},
        {"id": 1, "name": "dog", "supercategory": "animal"},
    ]
    write(tmp_path / "train.json", [image(1)], [box(1, category=1)], categories, tmp_path)
    write(tmp_path / "val.json", [image(2)], [box(1, 2, category=0)], categories, tmp_path)
    # Annotated in one split is enough: the classes are the data set's, not the split's.
    assert open_coco(tmp_path)["train"].classes == ("animal", "dog")


def test_test_set_without_annotations(tmp_path):
    official(tmp_path)
    write(tmp_path / "annotations/image_info_test-dev2017.json", [image(7)], None, folder=tmp_path / "test2017")
    test = open_coco(tmp_path)["test"]
    assert len(test) == 1 and test.tasks == {} and test.read(0).shape == (30, 40, 3)
    with pytest.raises(ArgusError, match="'detect'"):
        test.truth(0, "detect")
    assert check_split(test).summary == {"images": 1, "readable": 1, "height": [30, 30], "width": [40, 40]}


def test_an_empty_folder_says_what_was_looked_for(tmp_path):
    with pytest.raises(ArgusError, match=r"instances_.*_annotations\.coco\.json.*\.json"):
        open_coco(tmp_path)
    with pytest.raises(ArgusError, match="no such folder"):
        open_coco(tmp_path / "none")


def test_two_years_side_by_side(tmp_path):
    official(tmp_path, "train2014")
    write(tmp_path / "annotations/instances_train2017.json", [image(5)], [])
    assert open_coco(tmp_path)["train"].key(0) == "1.png"
    official(tmp_path, "train2017")
    with pytest.raises(ArgusError, match=r"train2014\.json and .*train2017\.json both"):
        open_coco(tmp_path)


def test_the_official_test_sets_lie_together(tmp_path):
    official(tmp_path)
    for name in ("test2017", "test-dev2017"):
        file = tmp_path / f"annotations/image_info_{name}.json"
        write(file, [image(7)], None, folder=tmp_path / "test2017")
    assert len(open_coco(tmp_path)["test"]) == 1


def test_empty_images_crowds_and_missing_area(tmp_path):
    crowd = box(3, 3, iscrowd=1, segmentation={"counts": [0, 9], "size": [30, 40]})
    bare = {key: value for key, value in box(4, 3, 90).items() if key != "area"}
    split = flat(tmp_path, [crowd, box(1), bare], [image(1), image(2), image(3)])
    empty, third = split.truth(1, "detect"), split.truth(2, "detect")
    assert empty.boxes.shape == (0, 4) and empty.labels.shape == empty.crowd.shape == empty.area.shape == (0,)
    assert empty.labels.dtype == np.int64 and empty.crowd.dtype == np.bool_ and empty.boxes.dtype == np.float64
    assert third.crowd.tolist() == [True, False] and third.labels.tolist() == [1, 2]
    assert third.area.tolist() == [50, 80]
    assert split.faults() == []
    assert flat(tmp_path / "none", [], [image(1)]).truth(0, "detect").boxes.shape == (0, 4)


@pytest.mark.parametrize(
    "categories, words",
    [
        ([{"id": 1, "name": "cat"}, {"id": 18, "name": "cat"}], "several categories are named cat"),
        ([{"id": 1, "name": "cat"}, {"id": 1, "name": "dog"}], "both have id 1"),
        ([{"name": "cat"}], "whole number as id"),
        ([], "no categories"),
    ],
)
def test_classes_that_cannot_be(tmp_path, categories, words):
    with pytest.raises(ArgusError, match=words):
        flat(tmp_path, [], categories=categories)


def test_splits_are_joined_by_class_names(tmp_path):
    write(tmp_path / "train.json", [image(1)], [box(1, category=18)], CATEGORIES, tmp_path)
    other = [{"id": 1, "name": "dog"}, {"id": 2, "name": "brush"}, {"id": 3, "name": "cat"}]
    write(tmp_path / "val.json", [image(2)], [box(1, 2, category=1)], other, tmp_path)
    data = open_coco(tmp_path)
    assert data["val"].classes == data["train"].classes == ("cat", "dog", "brush")
    assert data["val"].truth(0, "detect").labels.tolist() == data["train"].truth(0, "detect").labels.tolist()
    write(tmp_path / "val.json", [image(2)], [], [{"id": 1, "name": "Dog"}, *CATEGORIES[:1], CATEGORIES[2]][1:])
    with pytest.raises(ArgusError, match=r"train\.json.*val\.json differ.*\['dog'\].*none"):
        open_coco(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"images": {}}', '{"images": [], "annotations": {}}'])
def test_files_that_are_not_coco(tmp_path, text):
    (tmp_path / "train.json").write_text(text)
    with pytest.raises(ArgusError, match=r"train\.json"):
        open_coco(tmp_path)


def test_limit_keeps_the_first_images_and_all_classes(tmp_path):
    write(tmp_path / "train.json", [image(n) for n in (3, 1, 2)], [box(1, 1), box(2, 2), box(3, 3)])
    split = open_coco(tmp_path, limit=2)["train"]
    assert [split.key(i) for i in range(len(split))] == ["3.png", "1.png"]
    assert [len(split.truth(i, "detect").labels) for i in range(2)] == [1, 1]
    assert len(split.classes) == 3
    assert len(open_coco(tmp_path, limit=9)["train"]) == 3
    with pytest.raises(ArgusError, match="limit=-1"):
        open_coco(tmp_path, limit=-1)


def test_digests(tmp_path):
    split = flat(tmp_path, [box(1), box(2, 2)])
    again = flat(tmp_path / "copy", [box(7), box(9, 2)])
    assert split.annotation_digest() == again.annotation_digest() and split.digest(0) == again.digest(0)
    others = [
        flat(tmp_path / "a", [box(1), box(2)]),
        flat(tmp_path / "b", [box(1), box(2, 2, 1)]),
        flat(tmp_path / "c", [box(1), box(2, 2, iscrowd=1)]),
        flat(tmp_path / "d", [box(1), box(2, 2, bbox=(4, 5, 10, 8.5))]),
        flat(tmp_path / "e", [box(1), box(2, 2)], [image(1), image(2, file_name="x.png")]),
    ]
    assert len({s.annotation_digest() for s in (split, *others)}) == 6
    stamp = split.stamp(0)
    paint(tmp_path / "1.png", 30, 41, 5)
    assert split.stamp(0) != stamp and split.digest(0) != again.digest(0)


@pytest.mark.parametrize("name, images, boxes", [("bccd", (292, 72), (3941, 945)), ("coco256", (128, 128), (928, 898))])
def test_real_data_against_pycocotools(name, images, boxes):
    root = SHARED / "data" / name
    if not root.is_dir():
        pytest.skip("the shared real data is not on this machine")
    data = open_coco(root)
    assert tuple(len(split) for split in data.values()) == images
    for split, count in zip(data.values(), boxes, strict=True):
        with contextlib.redirect_stdout(io.StringIO()):
            reference = COCO(str(root / f"{split.name}.json"))
        assert split.faults() == []
        assert count == sum(_same(split, i, reference) for i in range(len(split)))


def _same(split, index: int, reference: COCO) -> int:
    """Compare one image's annotations with pycocotools' and count them."""
    entry = reference.dataset["images"][index]
    theirs = reference.loadAnns(reference.getAnnIds(imgIds=entry["id"]))
    names = {category["id"]: category["name"] for category in reference.dataset["categories"]}
    truth = split.truth(index, "detect")
    assert split.key(index) == entry["file_name"]
    assert [split.classes[k] for k in truth.labels] == [names[a["category_id"]] for a in theirs]
    assert truth.area.tolist() == [a["area"] for a in theirs]
    expected = np.array([a["bbox"] for a in theirs]).reshape(-1, 4)
    ours = np.concatenate([truth.boxes[:, :2], truth.boxes[:, 2:] - truth.boxes[:, :2]], axis=1)
    assert np.abs(ours - expected).max(initial=0) <= 0.5
    return len(theirs)


def test_opening_does_not_import_torch(tmp_path):
    official(tmp_path)
    code = "import sys, argus_data.coco.split as c; c.open_coco(sys.argv[1])['train'].read(0); "
    code += "sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False).returncode == 0


def test_ids_of_the_file_stand_beside_the_classes(tmp_path):
    official(tmp_path)
    task = open_coco(tmp_path)["train"].tasks["detect"]
    assert (task.classes, task.categories) == (("cat", "dog", "brush"), (1, 18, 90))
