"""YOLO folders: layouts, descriptions, kinds of lines, and outside readers."""

from __future__ import annotations

import pickle
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from argus_core.data.check import check_split
from argus_core.errors import ArgusError
from argus_core.plugins.data_spec import open_data
from argus_core.testing import data_suite
from argus_data.coco.split import open_coco
from argus_data.yolo.split import open_yolo
from coco_folders import box, image
from coco_folders import write as write_coco
from yolo_folders import LINE, NAMES, labelled, write

ROBOFLOW = (
    "train: ../train/images\nval: ../valid/images\ntest: ../test/images\n\nnc: 3\nnames: ['cat', 'dog', 'brush']\n"
)
LAYOUTS = {
    "Ultralytics": (
        "path: {root}\ntrain: images/train\nval: images/val\nnames:\n  0: cat\n  1: dog\n  2: brush\n",
        ("images/train/a.png", "labels/train/a.txt", "images/val/b.png", "labels/val/b.txt"),
    ),
    "path on another machine": (
        "path: /content/datasets/pets\ntrain: images/train\nval: images/val\n" + NAMES,
        ("images/train/a.png", "labels/train/a.txt", "images/val/b.png", "labels/val/b.txt"),
    ),
    "absolute on another machine": (
        "train: C:\\data\\pets\\images\\train\nval: C:\\data\\pets\\images\\val\n" + NAMES,
        ("images/train/a.png", "labels/train/a.txt", "images/val/b.png", "labels/val/b.txt"),
    ),
    "path relative to the YAML file": (
        "path: pets\ntrain: images/train\nval: images/val\n" + NAMES,
        ("pets/images/train/a.png", "pets/labels/train/a.txt", "pets/images/val/b.png", "pets/labels/val/b.txt"),
    ),
    "Roboflow": (ROBOFLOW, ("train/images/a.png", "train/labels/a.txt", "valid/images/b.png", "valid/labels/b.txt")),
    "beside": ("train: train\nval: val\n" + NAMES, ("train/a.png", "train/a.txt", "val/b.png", "val/b.txt")),
    "among": (
        "train: train\nval: val\n" + NAMES,
        ("train/a.png", "train/labels/a.txt", "val/b.png", "val/labels/b.txt"),
    ),
    "folders alone": (NAMES, ("images/Train/a.png", "labels/Train/a.txt", "images/VAL/b.png", "labels/VAL/b.txt")),
    "image, not images": (
        "train: data/image/t\nval: data/image/v\n" + NAMES,
        ("data/image/t/a.png", "data/labels/t/a.txt", "data/image/v/b.png", "data/labels/v/b.txt"),
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(tmp_path, layout):
    yaml, names = LAYOUTS[layout]
    root = write(tmp_path / "root", {"data.yaml": yaml.format(root=tmp_path / "root"), **dict.fromkeys(names, LINE)})
    for path in (root, root / "data.yaml"):
        data = open_yolo(path)
        assert list(data) == ["train", "val"]
        assert [split.key(0) for split in data.values()] == ["a.png", "b.png"]
        for split in data.values():
            assert split.tasks["detect"].classes == ("cat", "dog", "brush")
            truth = split.truth(0, "detect")
            assert truth.boxes.tolist() == [[4, 5, 14, 13]] and truth.labels.tolist() == [1]
            assert truth.area.tolist() == [80] and not truth.crowd.any()


def test_path_below_the_working_directory(tmp_path, monkeypatch):
    """The YAML file somewhere, and the data below the working directory or its folder ``datasets``."""
    monkeypatch.chdir(tmp_path)
    for place in ("pets", "datasets/cars"):
        write(tmp_path, {f"{place}/images/train/a.png": "", f"{place}/labels/train/a.txt": LINE})
        yaml = f"path: {place.removeprefix('datasets/')}\ntrain: images/train\n{NAMES}"
        split = open_yolo(write(tmp_path / "elsewhere", {"data.yaml": yaml}) / "data.yaml")["train"]
        assert split.read(0).shape == (30, 40, 3) and len(split.truth(0, "detect").labels) == 1


def test_lists_of_images(tmp_path):
    """CVAT's and COCO's way: text files, with paths from there, from the data set, or of another machine."""
    names = {f"images/all/{name}.png": "" for name in "abc"} | {f"labels/all/{name}.txt": LINE for name in "abc"}
    lists = {
        "train.txt": "./images/all/a.png\r\n./images/all/b.png\r\n\r\n./images/all/a.png\r\n",
        "lists/val.txt": "data/images/all/c.png\n",
        "lists/test.txt": "/srv/pets/images/all/c.png\n",
    }
    yaml = "path: .\ntrain: train.txt\nval: lists/val.txt\ntest: lists/test.txt\n" + NAMES
    data = open_yolo(write(tmp_path, {"data.yaml": yaml, **names, **lists}))
    keys = {name: [split.key(i) for i in range(len(split))] for name, split in data.items()}
    assert keys["train"] == ["images/all/a.png", "images/all/b.png"] and keys["val"] == ["images/all/c.png"]
    assert all(
        split.read(0).shape == (30, 40, 3) and len(split.truth(0, "detect").labels) == 1 for split in data.values()
    )
    assert [fault.what for fault in data["train"].faults()] == ["1 of its lines repeat another one"]


@pytest.mark.parametrize("first", ["a/images", "{root}/a/images"])
def test_several_folders_make_one_split(tmp_path, monkeypatch, first):
    yaml = f"train: [{first.format(root=tmp_path)}, b/images]\nval: {first.format(root=tmp_path)}\n{NAMES}"
    names = [f"{part}/{kind}" for part in "ab" for kind in ("images/1.png", "labels/1.txt")]
    write(tmp_path, {"data.yaml": yaml, **dict.fromkeys(names, LINE)})
    monkeypatch.chdir(tmp_path)
    data = open_yolo(".")
    assert [data["train"].key(i) for i in range(2)] == ["a/images/1.png", "b/images/1.png"]
    (fault,) = data["val"].faults()
    assert "these are the images of split 'train' too" in fault.what


def test_darknet_as_cvat_writes_it(tmp_path):
    files = {
        "obj.data": "classes = 2\ntrain = data/train.txt\nnames = data/obj.names\nbackup = backup/\n",
        "obj.names": "cat\ndog\n\n",
        "train.txt": "data/obj_train_data/a.png\n",
        "obj_train_data/a.png": "",
        "obj_train_data/a.txt": LINE,
    }
    data = open_yolo(write(tmp_path, files))
    assert list(data) == ["train"] and data["train"].tasks["detect"].classes == ("cat", "dog")
    assert data["train"].truth(0, "detect").boxes.tolist() == [[4, 5, 14, 13]]


@pytest.mark.parametrize("place", ["classes.txt", "labels/classes.txt", "obj.names"])
def test_a_list_of_names_is_enough(tmp_path, place):
    """As LabelImg and Label Studio leave it."""
    split = open_yolo(write(tmp_path, {place: "cat\ndog\n", "images/a.png": "", "labels/a.txt": LINE}))["all"]
    assert split.key(0) == "a.png" and len(split.truth(0, "detect").labels) == 1 and not split.faults()


def test_label_files_among_the_images_are_not_passed_over(tmp_path):
    files = {"classes.txt": "cat\ndog\n", "a.png": "", "a.txt": LINE, "b.png": "", "b.txt": "", "notes.txt": "x"}
    assert open_yolo(write(tmp_path, files))["all"].left_out() == f"1 other file (.txt) in {tmp_path}"
    (tmp_path / "notes.txt").unlink()
    assert open_yolo(tmp_path)["all"].left_out() == ""


def test_names_are_texts_and_may_have_gaps(tmp_path):
    split = labelled(tmp_path, "7 .5 .5 .5 .5", "nc: 8\nnames: {0: no, 7: 1.0, 3: off}\n")
    assert split.tasks["detect"].classes == ("no", "off", "1.0") and split.tasks["detect"].categories == (0, 3, 7)
    assert split.truth(0, "detect").labels.tolist() == [2]
    assert "names has none for 1, 2, 4, 5, 6" in split.faults()[0].what


@pytest.mark.parametrize(
    ("line", "box", "area"),
    [
        ("0 0.5 0.5 0.5 0.4", [10, 9, 30, 21], 240),
        ("0 0.25 0.2 0.75 0.2 0.75 0.8", [10, 6, 30, 24], 180),  # a polygon: half of its box
        ("0 0.5 0.1 0.75 0.5 0.5 0.9 0.25 0.5", [10, 3, 30, 27], 240),  # an oriented box
        ("0 0.5 0.5 0.25 0.2\t0.9", [15, 12, 25, 18], 60),  # a confidence
    ],
)
def test_kinds_of_lines(tmp_path, line, box, area):
    truth = labelled(tmp_path, line).truth(0, "detect")
    np.testing.assert_allclose(truth.boxes, [box], atol=1e-9)
    np.testing.assert_allclose(truth.area, [area], atol=1e-9)


def test_the_box_of_a_pose_is_taken(tmp_path):
    yaml = "kpt_shape: [2, 3]\n" + NAMES
    split = labelled(tmp_path, "0 0.5 0.5 0.5 0.4 0.1 0.1 2 0 0 0\n" + LINE, yaml)
    assert split.truth(0, "detect").boxes.tolist() == [[10, 9, 30, 21], [4, 5, 14, 13]] and not split.faults()


def test_what_is_taken_of_outlines_is_said(tmp_path):
    text = f"{LINE}\n0 .25 .2 .75 .2 .75 .8\n0 .25 .2 .75 .2 .75 .8 .3 .3\n0 .5 .5 .5 .4 .1 .1 .2 .2 .3 .3 .4\n"
    split = labelled(tmp_path, text, "kpt_shape: [7, 1]\n" + NAMES)
    assert split.remarks() == [
        "the box around an outline is taken, in 2 lines",
        "the box of a pose is taken, in 1 line",
    ]
    assert labelled(tmp_path / "plain", LINE).remarks() == []


def test_a_box_that_is_next_to_nothing_keeps_its_sides(tmp_path):
    (box,) = labelled(tmp_path, "0 0.5 0.5 0.0002 0.4").truth(0, "detect").boxes
    assert box[2] - box[0] == pytest.approx(0.008)


def test_shares_are_of_the_upright_image(tmp_path):
    split = labelled(tmp_path, "0 0.5 0.5 0.5 0.5")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 30)).save(tmp_path / "images/train/0.png", exif=exif)
    assert split.read(0).shape == (40, 30, 3)
    assert open_yolo(tmp_path)["train"].truth(0, "detect").boxes.tolist() == [[7.5, 10, 22.5, 30]]


@pytest.mark.parametrize("digits", [5, 6, 17])
def test_boxes_on_whole_pixels_survive_rounding(tmp_path, digits):
    """The same truth and the same digest as from a COCO file that holds these boxes."""
    random = np.random.default_rng(digits)
    x1, y1 = random.integers(0, 600, 40), random.integers(0, 440, 40)
    w, h = random.integers(1, 640 - x1), random.integers(1, 480 - y1)
    shares = np.column_stack([(x1 + w / 2) / 640, (y1 + h / 2) / 480, w / 640, h / 480])
    lines = [f"{n % 3} " + " ".join(f"{value:.{digits}f}" for value in row) for n, row in enumerate(shares)]
    write(tmp_path, {"data.yaml": NAMES, "images/train/1.png": "", "labels/train/1.txt": "\n".join(lines)})
    entry = image(1, file_name="1.png", width=640, height=480)
    categories = [{"id": n + 1, "name": name} for n, name in enumerate(("cat", "dog", "brush"))]
    rows = np.column_stack([x1, y1, w, h]).astype(float).tolist()
    boxes = [box(n, 1, n % 3 + 1, row, area=row[2] * row[3]) for n, row in enumerate(rows)]
    write_coco(tmp_path / "coco/train.json", [entry], boxes, categories, tmp_path / "coco")
    Image.new("RGB", (640, 480)).save(tmp_path / "images/train/1.png")
    ours, theirs = open_yolo(tmp_path)["train"], open_coco(tmp_path / "coco")["train"]
    for column in ("boxes", "labels", "crowd", "area"):
        assert (
            getattr(ours.truth(0, "detect"), column).tobytes() == getattr(theirs.truth(0, "detect"), column).tobytes()
        )
    assert ours.annotation_digest() == theirs.annotation_digest()


def test_a_limit_keeps_the_first_images(tmp_path):
    labelled(tmp_path, LINE, images=3)
    split = open_yolo(tmp_path, limit=2)["train"]
    assert len(split) == 2 and split.faults() == []


def test_labels_elsewhere(tmp_path):
    names = ("pics/train/a.png", "notes/train/a.txt", "pics/val/b.png", "notes/val/b.txt")
    write(tmp_path, {"data.yaml": "train: pics/train\nval: pics/val\n" + NAMES, **dict.fromkeys(names, LINE)})
    with pytest.raises(ArgusError, match=r"none of 1 images has a label file of its name, such as a\.txt; looked in"):
        open_yolo(tmp_path)
    assert len(open_yolo(tmp_path, labels="notes")["val"].truth(0, "detect").labels) == 1
    with pytest.raises(ArgusError, match="labels=note: there is no folder"):
        open_yolo(tmp_path, labels="note")


def test_a_test_split_without_labels(tmp_path):
    split = open_yolo(write(tmp_path, {"data.yaml": NAMES, "images/test/a.png": ""}))["test"]
    assert split.tasks == {} and split.faults() == [] and len(split.annotation_digest()) == 64


def test_an_image_whose_size_cannot_be_read(tmp_path):
    split = labelled(tmp_path, LINE, images=2)
    (tmp_path / "images/train/0.png").write_bytes(b"no image")
    split = open_yolo(tmp_path)["train"]
    with pytest.raises(ArgusError, match=r"0\.png: .*cannot identify image file|0\.png: cannot be read"):
        split.truth(0, "detect")
    assert len(split.annotation_digest()) == 64 and len(split.truth(1, "detect").labels) == 1
    assert "images that cannot be read" in {fault.kind for fault in check_split(split).faults}


def test_as_supervision_reads_it(tmp_path):
    supervision = pytest.importorskip("supervision")
    random = np.random.default_rng(0)
    lines = [f"{n % 3} " + " ".join(f"{v:.6f}" for v in (*random.uniform(0.3, 0.7, 2), 0.4, 0.3)) for n in range(6)]
    split = labelled(tmp_path, "\n".join(lines), images=2)
    other = supervision.DetectionDataset.from_yolo(
        str(tmp_path / "images/train"), str(tmp_path / "labels/train"), str(tmp_path / "data.yaml")
    )
    assert tuple(other.classes) == split.tasks["detect"].classes
    for path, _, found in other:
        truth = split.truth([split.key(i) for i in range(2)].index(path.rsplit("/", 1)[1]), "detect")
        np.testing.assert_allclose(truth.boxes, found.xyxy, atol=0.011)
        np.testing.assert_array_equal(truth.labels, found.class_id)


def test_data_check_and_what_is_held_out(tmp_path, arena):
    split = labelled(tmp_path, f"{LINE}\n9 .5 .5 .1 .1\n", images=12)
    code, out, err = arena(f"data check {tmp_path}")
    assert code == 1 and err == f"{tmp_path}: taken for yolo:{tmp_path} (data.yaml names classes)\n"
    assert "train: images 12, readable 12, height [30, 30], width [40, 40], boxes 12" in out
    assert "line 2: its class 9 has no name; the names are of 0 to 2 (left out)" in out
    held = open_data(f"yolo:{tmp_path},hold_out=0.25")
    assert {name: len(part) for name, part in held.items()} == {"train": 9, "val": 3}
    again = pickle.loads(pickle.dumps(split))  # as loaders with several processes do
    assert again.annotation_digest() == split.annotation_digest()


FOLDER = tempfile.TemporaryDirectory()
NAMED = ("images/train/a.png", "labels/train/a.txt", "images/val/b.png", "labels/val/b.txt")


@cache
def example() -> Path:
    lines = f"{LINE}\n0 0.2 0.2 0.3 0.2 0.3 0.4\n"
    return write(Path(FOLDER.name), {"data.yaml": NAMES, **dict.fromkeys(NAMED, lines)})


test_conformance = data_suite(lambda: open_yolo(example()))
