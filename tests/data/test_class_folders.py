"""Class folders, ImageNet's layouts and label files, as users have them and as they break."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from argus_core.data.check import check_data
from argus_core.errors import ArgusError
from argus_data.folders.class_folders import open_folder
from argus_data.folders.imagenet import open_imagenet
from argus_data.layers.labels import read_labels


def picture(path, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (8, 9, 3), dtype=np.uint8)).save(path)


@pytest.fixture
def folders(tmp_path):
    for number, name in enumerate(("train/cat/1.png", "train/cat/2.png", "train/dog/1.png", "valid/dog/7.png")):
        picture(tmp_path / name, number)
    (tmp_path / "train/.DS_Store").write_text("x")
    (tmp_path / "train/cat/notes.txt").write_text("x")
    return tmp_path


def test_splits_classes_and_keys(folders):
    data = open_folder(folders)
    assert list(data) == ["train", "val"]
    assert data["train"].tasks["classify"].classes == data["val"].tasks["classify"].classes == ("cat", "dog")
    assert [data["train"].key(i) for i in range(3)] == ["cat/1.png", "cat/2.png", "dog/1.png"]
    assert [data["train"].truth(i, "classify") for i in range(3)] == [0, 0, 1]
    assert data["val"].truth(0, "classify") == 1


def test_a_class_without_images_in_a_split_is_a_fault(folders):
    (folders / "train/bird").mkdir()
    reports = check_data(open_folder(folders))
    assert [str(fault) for fault in reports["train"].faults] == ["train, class bird: holds no images"]
    assert {str(fault) for fault in reports["val"].faults} == {
        "val, class bird: there is no such folder",
        "val, class cat: there is no such folder",
    }
    assert reports["train"].summary["images_per_class"] == {"bird": 0, "cat": 2, "dog": 1}


def test_a_folder_of_classes_alone_is_one_split(tmp_path):
    picture(tmp_path / "b/1.png")
    picture(tmp_path / "a/deeper/2.png")
    (split,) = open_folder(tmp_path).values()
    assert split.name == "all" and [split.key(i) for i in range(2)] == ["a/deeper/2.png", "b/1.png"]


def test_images_outside_class_folders_are_told(folders):
    picture(folders / "train/loose.png", 8)
    picture(folders / "train/other.png", 9)
    (fault,) = open_folder(folders)["train"].faults()
    assert "2 images outside class folders, such as loose.png (left out)" in str(fault) and len(fault.where) > 7
    for kind in ("cat", "dog"):
        (folders / "train" / kind).rename(folders / f"{kind}s")
    (folders / "valid/dog").rename(folders / "kept")
    with pytest.raises(ArgusError, match="no class folders, but 2 images without a class"):
        open_folder(folders)


def test_limit_is_spread_over_classes(tmp_path):
    for number in range(6):
        picture(tmp_path / f"train/{'ab'[number > 3]}/{number}.png", number)
    labels = [open_folder(tmp_path, limit=3)["train"].truth(i, "classify") for i in range(3)]
    assert labels == [0, 0, 1]


def test_what_is_no_data_set_is_said(tmp_path):
    with pytest.raises(ArgusError, match="no such folder"):
        open_folder(tmp_path / "missing")
    with pytest.raises(ArgusError, match="no class folders"):
        open_folder(tmp_path)
    (tmp_path / "cat").mkdir()
    with pytest.raises(ArgusError, match="holds no images"):
        open_folder(tmp_path)
    with pytest.raises(ArgusError, match="limit=-1"):
        open_folder(tmp_path, limit=-1)


def test_annotations_decide_the_digest(folders):
    before = open_folder(folders)["train"].annotation_digest()
    assert open_folder(folders)["train"].annotation_digest() == before
    (folders / "train/cat/2.png").rename(folders / "train/dog/2.png")
    assert open_folder(folders)["train"].annotation_digest() != before


def imagenet(root):
    for synset in ("n01", "n02"):
        for number in range(2):
            picture(root / f"train/{synset}/{synset}_{number}.JPEG", number)


def test_imagenet_with_validation_folders(tmp_path):
    imagenet(tmp_path)
    picture(tmp_path / "val/n02/v.JPEG", 9)
    (tmp_path / "LOC_synset_mapping.txt").write_text("n01 tench, Tinca\nn02 goldfish\n")
    data = open_imagenet(tmp_path)
    assert data["val"].tasks["classify"].classes == ("n01 tench, Tinca", "n02 goldfish")
    assert data["val"].truth(0, "classify") == 1


def test_imagenet_with_a_flat_validation_folder_and_the_devkit(tmp_path):
    imagenet(tmp_path)
    for number in (1, 2, 3):
        picture(tmp_path / f"val/ILSVRC2012_val_0000000{number}.JPEG", number)
    with pytest.raises(ArgusError, match="devkit"):
        open_imagenet(tmp_path)
    devkit = tmp_path / "ILSVRC2012_devkit_t12/data"
    devkit.mkdir(parents=True)
    (devkit / "ILSVRC2012_validation_ground_truth.txt").write_text("2\n1\n2\n")
    kind = [("ILSVRC2012_ID", "O"), ("WNID", "O")]
    savemat(devkit / "meta.mat", {"synsets": np.array([(1, "n02"), (2, "n01")], dtype=kind)})
    val = open_imagenet(tmp_path)["val"]
    assert [val.truth(i, "classify") for i in range(3)] == [0, 1, 0]  # the devkit numbers synsets its own way
    (tmp_path / "list.txt").write_text("n02 n02 n01")
    val = open_imagenet(tmp_path, val_labels="list.txt")["val"]
    assert [val.truth(i, "classify") for i in range(3)] == [1, 1, 0]
    (tmp_path / "list.txt").write_text("n02 n02")
    with pytest.raises(ArgusError, match="labels 2 images"):
        open_imagenet(tmp_path, val_labels="list.txt")
    (tmp_path / "list.txt").write_text("n02 n09 n01")
    with pytest.raises(ArgusError, match="n09"):
        open_imagenet(tmp_path, val_labels="list.txt")


def test_imagenet_needs_synset_folders(tmp_path):
    with pytest.raises(ArgusError, match="synset folders"):
        open_imagenet(tmp_path)


def test_label_files(tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text("file,class\na/1.png,cat\n2.png,dog\n\n")
    assert read_labels(table, ["a/1.png", "b/2.png"]) == (("cat", "dog"), (0, 1))
    held = tmp_path / "labels.json"
    held.write_text(json.dumps({"1": "x", "2": "w"}))
    assert read_labels(held, ["1.png", "2.jpg"]) == (("w", "x"), (1, 0))
    with pytest.raises(ArgusError, match=r"no class for 1 images, such as 3\.png"):
        read_labels(table, ["1.png", "3.png"])
    table.write_text("id,breed\n1.png,cat\n")
    assert read_labels(table, ["1.png"]) == (("cat",), (0,))
    table.write_text("1.png,cat\n1.png,dog\n")
    with pytest.raises(ArgusError, match="row 2"):
        read_labels(table, ["1.png"])
    table.write_text("1.png,cat,dog\n")
    with pytest.raises(ArgusError, match="3 columns"):
        read_labels(table, ["1.png"])
    held.write_text("[1, 2]")
    with pytest.raises(ArgusError, match="not a table"):
        read_labels(held, ["1.png"])


def test_wrong_labels_are_told_up_to_five_with_their_number(tmp_path):
    table, held = tmp_path / "labels.csv", tmp_path / "labels.json"
    table.write_text("1.png,cat\n1.png,dog\n" + "a,b,c\n" * 5)
    with pytest.raises(ArgusError, match=r"row 2 says 1\.png is dog.*row 3 has 3 columns.*row 6.*; 6 in all$") as told:
        read_labels(table, ["1.png"])
    assert "row 7" not in str(told.value)
    held.write_text(json.dumps({"1.png": "cat", "2.png": None, "3.png": ["dog"]}))
    with pytest.raises(ArgusError, match=r"labels\.json.*'2\.png': None; '3\.png': \['dog'\]$"):
        read_labels(held, ["1.png"])
