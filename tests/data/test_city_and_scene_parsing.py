"""ADE20K and Cityscapes as published, in generated folders."""

from __future__ import annotations

import numpy as np
import pytest

from argus_core.errors import ArgusError
from argus_data.folders.ade20k import open_ade20k
from argus_data.folders.cityscapes import CLASSES, open_cityscapes
from mask_folders import save_image, save_mask

NAMES = [f"thing {number}, kind of thing" for number in range(1, 151)]


def ade20k(root, images=3):
    for split, folder in (("train", "training"), ("val", "validation")):
        for number in range(images):
            name = f"ADE_{split}_{number:08}"
            save_image(root / "images" / folder / f"{name}.jpg", number)
            save_mask(root / "annotations" / folder / f"{name}.png", np.array([[0, 1, 150, number + 1]], np.uint8))
    rows = [f"{i}\t0.1\t{i}\t{i}\t\t{name}   " for i, name in enumerate(NAMES, start=1)]
    (root / "objectInfo150.txt").write_text("\n".join(["Idx \tRatio \tTrain \tVal \t\tName", *rows]) + "\n")
    return root


def test_ade20k_counts_its_classes_from_one_and_ignores_zero(tmp_path):
    data = open_ade20k(ade20k(tmp_path))
    assert list(data) == ["train", "val"] and not data["train"].faults()
    task = data["val"].tasks["segment"]
    assert task.classes == tuple(NAMES) and task.ignore == 255
    assert data["val"].truth(2, "segment").tolist() == [[255, 0, 149, 2]]
    assert task.fault(data["val"].truth(2, "segment"), (1, 4)) == ""


@pytest.mark.parametrize("line", ["validation/{}.jpg", "{}.jpg", "images/validation/{}.jpg", "{}"])
def test_official_lists_choose(tmp_path, line):
    ade20k(tmp_path)
    (tmp_path / "ADE20K_object150_val.txt").write_text(line.format("ADE_val_00000001") + "\n\n")
    data = open_ade20k(tmp_path)
    assert len(data["train"]) == 3 and [data["val"].key(0)] == ["ADE_val_00000001.jpg"] and len(data["val"]) == 1


def test_a_list_of_absent_images_is_refused(tmp_path):
    ade20k(tmp_path)
    (tmp_path / "ADE20K_object150_val.txt").write_text("validation/ADE_val_00000009.jpg\n")
    with pytest.raises(ArgusError, match="1 images that are not there, such as ADE_val_00000009"):
        open_ade20k(tmp_path)


def test_an_ade20k_that_is_not_whole(tmp_path):
    with pytest.raises(ArgusError, match="images/training"):
        open_ade20k(tmp_path)
    ade20k(tmp_path)
    (tmp_path / "annotations/training/ADE_train_00000001.png").unlink()
    split = open_ade20k(tmp_path, limit=2)["train"]
    assert [split.key(i) for i in range(2)] == ["ADE_train_00000000.jpg", "ADE_train_00000002.jpg"]
    assert ["it has no mask" in str(fault) for fault in split.faults()] == [True]
    (tmp_path / "objectInfo150.txt").write_text("Idx\tName\n1\twall\n")
    with pytest.raises(ArgusError, match="it has 1 numbered rows"):
        open_ade20k(tmp_path)
    (tmp_path / "objectInfo150.txt").unlink()
    with pytest.raises(ArgusError, match="names the classes"):
        open_ade20k(tmp_path)


def cityscapes(root, kinds=("labelIds",)):
    values = {"labelIds": [7, 8, 33, 34, 0, 255, 31, 9], "labelTrainIds": [0, 1, 18, 255, 255, 255, 16, 255]}
    for split, cities in (("train", ("aachen", "ulm")), ("val", ("lindau",))):
        for city in cities:
            stem = f"{city}_000000_000019"
            save_image(root / "leftImg8bit" / split / city / f"{stem}_leftImg8bit.png", len(city), (1, 8))
            for kind in kinds:
                shown = np.array([values[kind]], np.uint8)
                save_mask(root / "gtFine" / split / city / f"{stem}_gtFine_{kind}.png", shown)
            save_mask(root / "gtFine" / split / city / f"{stem}_gtFine_instanceIds.png", 5)
    return root


@pytest.mark.parametrize("kinds", [("labelIds",), ("labelTrainIds",), ("labelIds", "labelTrainIds")])
def test_cityscapes_has_19_classes_from_either_kind_of_mask(tmp_path, kinds):
    root = cityscapes(tmp_path, kinds)
    if kinds == ("labelIds",):  # 34 is beyond the published numbers
        for path in root.glob("gtFine/*/*/*labelIds.png"):
            save_mask(path, np.array([[7, 8, 33, 32, 0, 255, 31, 9]], np.uint8))
    data = open_cityscapes(root)
    assert [len(split) for split in data.values()] == [2, 1]
    assert data["train"].key(1) == "ulm/ulm_000000_000019_leftImg8bit.png"
    task, truth = data["val"].tasks["segment"], data["val"].truth(0, "segment")
    assert task.classes == tuple(CLASSES) and len(CLASSES) == 19
    expected = [0, 1, 18, 17 if kinds == ("labelIds",) else 255, 255, 255, 16, 255]
    assert truth.tolist() == [expected]


def test_numbers_beyond_cityscapes_are_refused(tmp_path):
    split = open_cityscapes(cityscapes(tmp_path))["val"]
    with pytest.raises(ArgusError, match=r"lindau_.*labelIds\.png: labels \[34\]"):
        split.truth(0, "segment")


def test_a_cityscapes_that_is_not_whole(tmp_path):
    with pytest.raises(ArgusError, match="leftImg8bit/train"):
        open_cityscapes(tmp_path)
    root = cityscapes(tmp_path, ("labelIds", "labelTrainIds"))
    for path in root.glob("gtFine/train/ulm/*label*"):
        path.unlink()
    split = open_cityscapes(root)["train"]
    assert len(split) == 1
    assert [str(fault) for fault in split.faults()] == [
        "train, image ulm/ulm_000000_000019_leftImg8bit.png: it has no mask (left out)"
    ]
    assert len(open_cityscapes(cityscapes(tmp_path / "more"), limit=1)["train"]) == 1
