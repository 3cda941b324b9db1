import numpy as np
import pytest
from PIL import Image

from argus_core import ArgusError, open_data
from argus_core.testing import check_data

OBJECT = "<object><name>{}</name><difficult>{}</difficult><bndbox>{}</bndbox></object>"


def box(*corners):
    return "".join(
        f"<{tag}>{value}</{tag}>" for tag, value in zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True)
    )


def write(root, key, *objects, head=""):
    (root / "Annotations" / f"{key}.xml").write_text(
        f"{head}<annotation><size><width>60</width><height>40</height></size>{''.join(objects)}</annotation>"
    )


def make(folder):
    root = folder / "VOC2007"
    for part in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (root / part).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for n in range(4):
        pixels = rng.integers(0, 256, (40, 60, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / "JPEGImages" / f"00000{n}.jpg")
        write(
            root, f"00000{n}", OBJECT.format("cat", 0, box(1, 1, 60, 40)), OBJECT.format("dog", 1, box(11, 6, 20, 15))
        )
    (root / "ImageSets/Main/train.txt").write_text("000000\n000001\n000002\n")
    (root / "ImageSets/Main/val.txt").write_text("000003  1\n")
    return root


@pytest.fixture
def root(tmp_path):
    return make(tmp_path)


@pytest.mark.parametrize("below", ["", "VOC2007"])
def test_boxes_count_from_one_and_hold_both_corners(root, below):
    data = open_data(f"pascal:{root.parent / below}")
    assert [(name, len(split)) for name, split in data.items()] == [("train", 3), ("val", 1)]
    assert len(data["val"].tasks["detect"].classes) == 20 and data["train"].faults() == []
    truth = data["val"].truth(0, "detect")
    assert truth.boxes.tolist() == [[0, 0, 60, 40], [10, 5, 20, 15]] and truth.area.tolist() == [2400, 100]
    assert truth.labels.tolist() == [7, 11] and truth.crowd.tolist() == [False, True]


def test_options(root):
    spec = f"pascal:{root},train=val,val=train,difficult=object,first=0,limit=2"
    data = open_data(spec)
    assert [data["train"].key(0), len(data["val"])] == ["000003", 2]
    truth = data["val"].truth(1, "detect")
    assert not truth.crowd.any() and truth.boxes[1].tolist() == [11, 6, 21, 16]
    assert truth.boxes[0].tolist() == [1, 1, 60, 40] and "leaves the image" in str(data["val"].faults()[0])
    assert open_data(f"pascal:{root}")["train"].annotation_digest() != data["train"].annotation_digest()


def test_other_classes_are_read_from_the_annotations(root):
    write(root, "000000", OBJECT.format("zebra", 0, box(1, 1, 9, 9)))
    assert open_data(f"pascal:{root}")["val"].tasks["detect"].classes == ("cat", "dog", "zebra")


def test_unusable_objects_are_left_out_and_reported(root):
    unusable = [("cat", box(70, 1, 80, 9)), ("cat", "<xmin>a</xmin>"), ("", box(1, 1, 2, 2)), ("cat", box(9, 9, 2, 2))]
    write(root, "000000", *(OBJECT.format(name, 0, corners) for name, corners in unusable))
    split = open_data(f"pascal:{root}")["train"]
    faults = [str(fault) for fault in split.faults()]
    assert len(faults) == 4 and all("000000.xml" in fault and "left out" in fault for fault in faults)
    assert split.truth(0, "detect").boxes.shape == (0, 4)


BOMB = '<!DOCTYPE annotation [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'


@pytest.mark.parametrize(
    "damage, words",
    [
        (lambda root: write(root, "000000", "&b;", head=BOMB), "document type"),
        (lambda root: (root / "Annotations/000000.xml").write_text("<annotation>"), "000000.xml"),
        (lambda root: (root / "Annotations/000000.xml").write_text("<html/>"), "<html>"),
        (lambda root: (root / "Annotations/000000.xml").write_bytes(b"\xff\xfe\x00"), "000000.xml"),
        (lambda root: (root / "Annotations/000000.xml").unlink(), "No such file"),
        (lambda root: (root / "JPEGImages/000000.jpg").unlink(), "has no 000000.jpg"),
        (lambda root: (root / "ImageSets/Main/val.txt").unlink(), "'val'; it has train"),
        (lambda root: (root / "ImageSets/Main/val.txt").write_text(""), "no image"),
        (lambda root: (root / "ImageSets/Main/val.txt").write_text("000001\n000001\n"), "twice"),
        (lambda root: (root / "ImageSets/Main/val.txt").write_text("../../secret\n"), "without folders"),
        (lambda root: (root / "JPEGImages").rename(root / "images"), "no Pascal VOC folder"),
        (lambda root: (root.parent / "VOC2012").symlink_to(root), "VOC2007 and VOC2012"),
    ],
)
def test_damage_is_reported(root, damage, words):
    damage(root)
    with pytest.raises(ArgusError, match=words):
        open_data(f"pascal:{root.parent}")


def test_it_passes_the_kit(root):
    faults = check_data(f"pascal:{root}")
    assert not any(faults.values()), faults
