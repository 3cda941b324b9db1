"""What is wrong with folders in Pascal VOC's format, as people have them, and what is said about it."""

from __future__ import annotations

import re

import pytest

from argus_core.data.check import check_split, findings
from argus_core.errors import ArgusError
from argus_data.voc.split import open_voc
from voc_folders import annotation, beside, devkit, picture, text, thing

GOOD = thing("a", (2, 2, 9, 9))
BOMB = (
    '<!DOCTYPE annotation [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;">]>\n<annotation>&b;</annotation>'
)
ROTATED = thing("a", None, more="<robndbox><cx>5</cx><cy>5</cy><w>3</w><h>2</h><angle>1</angle></robndbox>")


@pytest.mark.parametrize(
    "bad, kept, message",
    [
        (
            thing("a", (20, 15, 5, 6)),
            2,
            "line 3: the box of 'a', xmin 20, ymin 15, xmax 5, ymax 6, has its corners exchanged",
        ),
        (thing("a", (5, 5, 5, 9)), 1, r"line 3: the box of 'a', xmin 5, ymin 5, xmax 5, ymax 9, has no area"),
        (thing("a", (50, 5, 60, 9)), 1, r"xmin 50, .*, lies outside the image of 30x40 \(height x width\)"),
        (thing("a", (-3, -8, 9, 9)), 2, r"xmin -3, ymin -8, .* leaves the image of 30x40"),
        (thing("a", (1, 1, "", 9)), 1, r"line 3: the box of 'a' is not four numbers: .*'xmax': ''"),
        (thing("a", ("1,5", 1, 9, 9)), 1, "not four numbers: {'xmin': '1,5'"),
        (thing("a", (1, 1, "nan", 9)), 1, "not four numbers"),
        (thing("a", (1, 1, "inf", 9)), 1, "not four numbers"),
        (thing("a", (1, 1, 9)), 1, "not four numbers"),
        (thing("", (1, 1, 9, 9)), 1, "line 3: the object has no <name>"),
        (thing("a", None), 1, "'a' has no <bndbox>$"),
        (ROTATED, 1, "'a' has no <bndbox>; rotated boxes .* are not read"),
    ],
)
def test_objects(tmp_path, bad, kept, message):
    beside(tmp_path, bad, GOOD, name="some image")
    split = open_voc(tmp_path, one_based=False)["all"]
    (fault,) = split.faults()
    assert re.search(message, fault.what if message.endswith("$") else f"{fault.where}: {fault.what}")
    assert "some image.xml" in fault.where and fault.kind and fault.dropped == (kept == 1)
    truth = split.truth(0, "detect")
    assert len(truth.labels) == kept and (truth.boxes[:, 2:] > truth.boxes[:, :2]).all()
    assert (truth.boxes >= 0).all() and (truth.boxes <= [40, 30, 40, 30]).all()
    # Half of the objects left out would make a result wrong.
    assert any(finding.wrong for finding in findings("all", split.faults())) == (kept == 1)


def test_a_box_of_one_pixel_counts_where_pixels_are_counted(tmp_path):
    beside(tmp_path, thing("a", (5, 5, 5, 9)), source="<database>roboflow.com</database>")
    split = open_voc(tmp_path)["all"]
    assert split.truth(0, "detect").boxes.tolist() == [[4, 4, 5, 9]] and not split.faults()


@pytest.mark.parametrize(
    "content, message",
    [
        ("", "line 1: the file is empty"),
        ("<annotation>\n<object>\n</annotation>", r"line 3: no valid XML \(mismatched tag\)"),
        ("<annotation>\n<object>", r"line 2: no valid XML"),
        ("<annotation>\n&nbsp;</annotation>", r"line 2: no valid XML \(undefined entity\)"),
        (BOMB, "line 1 declares a document type"),
        (annotation(thing("é")).encode("latin-1"), "not UTF-8, and the file declares no other encoding"),
        ('<?xml version="1.0" encoding="klingon"?><annotation/>', "unknown encoding: klingon"),
        ("<html/>", "line 1: the root is <html>, not the <annotation>"),
        (b"\x89PNG\r\n", "not UTF-8"),
    ],
)
def test_files(tmp_path, content, message):
    for n in range(9):
        beside(tmp_path, GOOD, name=f"good{n}", seed=n)
    beside(tmp_path, name="bad", seed=9)
    text(tmp_path / "bad.xml", content)
    split = open_voc(tmp_path)["all"]
    (fault,) = split.faults()
    assert re.search(message, str(fault)) and "(left out)" in str(fault) and fault.where.startswith("all, bad.xml")
    # Its image is left out too: it is not known to show nothing. One file of ten is enough to refuse the data.
    assert len(split) == 9 and all(finding.wrong for finding in findings("all", [fault]))


def test_images_and_files_without_each_other(tmp_path):
    beside(tmp_path, GOOD, name="a")
    text(tmp_path / "lost.xml", annotation(GOOD, source="", filename="lost.jpg"))
    picture(tmp_path / "a.bmp", 1)
    picture(tmp_path / "b.png", 2)
    faults = [str(fault) for fault in open_voc(tmp_path)["all"].faults()]
    assert sorted(re.sub(r" in /[^,]*", " in F", fault) for fault in faults) == [
        "all, image a.bmp: it shares its annotation with a.png (left out)",
        "all, image b.png: it has no annotation (left out)",
        "all, lost.xml: there is no image 'lost' in F, and none called 'lost.jpg' (left out)",
    ]


def test_two_files_for_one_image(tmp_path):
    beside(tmp_path, GOOD, name="a")
    text(tmp_path / "b.xml", annotation(GOOD, source="", filename="a.png"))
    (fault,) = open_voc(tmp_path)["all"].faults()
    assert "b.xml: a.png is annotated by a.xml already (left out)" in str(fault)
    text(tmp_path / "A.XML".replace("A", "a"), annotation(GOOD))
    with pytest.raises(ArgusError, match="both claim to annotate one image"):
        open_voc(tmp_path)


def test_sizes_of_turned_and_resized_images(tmp_path):
    beside(tmp_path, GOOD, name="a", size=(40, 30))
    beside(tmp_path, GOOD, name="b", seed=1, size=(60, 80))
    beside(tmp_path, thing("a", (30, 2, 60, 9)), name="c", seed=2, size=None)
    beside(tmp_path, thing("a", (30, 2, 60, 9)), name="d", seed=3, size=(0, 0))
    split = open_voc(tmp_path)["all"]
    assert [split.size(index) for index in range(4)] == [(40, 30), (60, 80), None, None]
    report = [str(fault) for fault in check_split(split).faults]
    assert any(
        "a.png: the annotations say 40x30" in fault and "annotate the upright image" in fault for fault in report
    )
    assert any("b.png: the annotations say 60x80" in fault for fault in report)
    # Where the file gives no size, that of the image counts.
    assert split.truth(2, "detect").boxes.tolist() == split.truth(3, "detect").boxes.tolist() == [[30, 2, 40, 9]]
    assert sum("leaves the image of 30x40" in fault for fault in report) == 2


@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda root: (root / "ImageSets/Main/val.txt").write_text(""), r"val\.txt names no image"),
        (lambda root: (root / "ImageSets/Main/val.txt").write_text("../../secret\n"), "'../../secret' does not lie in"),
        (lambda root: (root / "ImageSets/Main/val.txt").write_text("/etc/passwd\n"), "does not lie in"),
        (lambda root: (root / "ImageSets/Main/val.txt").write_bytes(b"\xff\xe9\n"), "cannot be read as a list"),
        (lambda root: emptied(root, "JPEGImages"), "no image in .* can be used; .*there is no"),
        (lambda root: text(root / "labelmap.txt", "cat:1,2::\n"), r"line 1: '1,2' is no colour"),
        (lambda root: text(root / "labelmap.txt", "cat:1,2,3::\ndog:::\n"), "gives 1 of 2 classes a colour"),
        (lambda root: text(root / "labelmap.txt", "cat:1,2,3::\ndog:1,2,3::\n"), r"the colour \(1, 2, 3\)"),
        (lambda root: text(root / "labelmap.txt", "cat\ncat\n"), "names cat twice"),
        (lambda root: text(root / "labelmap.txt", "\n"), "names no class"),
        (lambda root: text(root / "classes.txt", b"caf\xe9\n"), "cannot be read as a list of classes"),
        (lambda root: emptied(root, "Annotations", "SegmentationClass"), "no XML file and no mask is called like"),
    ],
)
def test_folders(tmp_path, damage, message):
    damage(devkit(tmp_path))
    with pytest.raises(ArgusError, match=message):
        open_voc(tmp_path)


def emptied(root, *folders):
    """Delete what lies in some folders."""
    for file in [file for folder in folders for file in (root / folder).iterdir()]:
        file.unlink()


def test_an_image_of_a_list_that_is_not_there(tmp_path):
    folder = devkit(tmp_path)
    (folder / "JPEGImages/2007_000001.jpg").unlink()
    (folder / "Annotations/2007_000002.xml").unlink()
    split = open_voc(tmp_path)["train"]
    faults = [str(fault) for fault in split.faults()]
    assert len(split) == 1 and len(faults) == 2
    assert "2007_000001.xml: there is no image '2007_000001'" in faults[0]
    assert "2007_000002.jpg: it has no annotation (left out)" in faults[1]
    text(folder / "ImageSets/Main/train.txt", "2007_000000\nnone\n")
    (fault,) = open_voc(tmp_path)["train"].faults()
    assert "ImageSets/Main/train.txt: there is no image 'none'" in str(fault)


def test_no_such_folder(tmp_path):
    with pytest.raises(ArgusError, match="no such folder; give VOCdevkit"):
        open_voc(tmp_path / "none")
    with pytest.raises(ArgusError, match="no image in"):
        open_voc(tmp_path)
    picture(tmp_path / "a.png")
    with pytest.raises(ArgusError, match="no XML file and no mask is called like an image"):
        open_voc(tmp_path)
