"""Broken YOLO data sets, as people have them: every one is told, with its file and line."""

from __future__ import annotations

import numpy as np
import pytest

from argus_core.data.check import DataRefused, refuse_faults
from argus_core.errors import ArgusError
from argus_data.yolo.split import open_yolo
from yolo_folders import LINE, NAMES, labelled, write

LEFT_OUT = {
    "3 .5 .5 .1 .1": "its class 3 has no name; the names are of 0 to 2",
    "-1 .5 .5 .1 .1": "its class -1 has no name",
    "1.5 .5 .5 .1 .1": "its class 1.5 is no whole number",
    "dog .5 .5 .1 .1": "'dog .5 .5 .1 .1' is not a class number and a place",
    "1 nan .5 .1 .1": "'nan' is no decimal number",
    "1 .5 .5 infinity .1": "'infinity' is no decimal number",
    "1 .5 .5 1e999 .1": "has no shares of the image",
    "1e999 .5 .5 .1 .1": "its class 1e999 is no whole number",
    "1 \uff10.5 .5 .1 .1": "'\uff10.5' is no decimal number",
    "\u0661 .5 .5 .1 .1": "'\u0661' is no decimal number",
    "1_0 .5 .5 .1 .1": "'1_0' is no decimal number",
    "1 .5 .5 0x1 .1": "'0x1' is no decimal number",
    "1 .5 .5 0 .1": "its box is 0 wide and 0.1 high",
    "1 .5 .5 .1 -.1": "its box is 0.1 wide and -0.1 high",
    "1 320 240 64 48": "'1 320 240 64 48' has no shares of the image, from 0 to 1; divide pixels by its size",
    "1 1.3 .5 .1 .1": "its box from [1.25, 0.45] to [1.35, 0.55] lies outside the image",
    "1 .5 .5 .1": "it has 4 columns, not 5 (class x y width height), nor a class and points x y",
    "1 .1 .1 .2 .2 .3 .3 .4": "key points need kpt_shape in the YAML file",
    "1 .1 .1 .1 .2 .1 .3": "all points of its polygon lie on one line",
    "1": "it has 1 columns",
}


@pytest.mark.parametrize("line", LEFT_OUT)
def test_every_line_that_cannot_be_used_is_named(tmp_path, line):
    split = labelled(tmp_path, f"{LINE}\n\n{line}\n")
    (fault,) = split.faults()
    assert LEFT_OUT[line] in fault.what and fault.dropped and fault.total == 2
    assert fault.where.replace("\\", "/") == "train, labels/train/0.txt, line 3"
    assert split.truth(0, "detect").labels.tolist() == [1]


KEPT = {
    "1 .05 .5 .2 .2": "its box from [-0.05, 0.4] to [0.15, 0.6] leaves the image",
    "1.0 .5 .5 .1 .1": "lines whose class is written as a float: labels/train/0.txt, line 2",
    "1 .5 .5 .1 .1 .98": "lines with a sixth number, taken for a confidence: are these predictions?",
    "1,.5,.5,.1,.1": "lines whose columns are parted by commas, not by blanks",
    "1, .5, .5, .1, .1": "lines whose columns are parted by commas, not by blanks",
    "1 0,5 0,5 0,1 0,1": "lines with decimal commas, read as points",
}


@pytest.mark.parametrize("line", KEPT)
def test_lines_that_are_read_in_spite_of_a_fault(tmp_path, line):
    split = labelled(tmp_path, f"{LINE}\n{line}")
    (fault,) = split.faults()
    assert KEPT[line] in fault.what.replace("\\", "/") and not fault.dropped
    truth = split.truth(0, "detect")
    assert truth.labels.tolist() == [1, 1] and (truth.boxes >= 0).all() and (truth.boxes <= (40, 30, 40, 30)).all()


@pytest.mark.parametrize("text", ["\ufeff" + LINE, LINE + "\r\n\r\n", LINE + "\r", "  " + LINE + "\t \n", LINE + " \f"])
def test_what_editors_leave_is_no_fault(tmp_path, text):
    split = labelled(tmp_path, text)
    assert split.faults() == [] and split.truth(0, "detect").boxes.tolist() == [[4, 5, 14, 13]]


def test_rounding_at_the_border_is_no_fault(tmp_path):
    split = labelled(tmp_path, "1 0.500001 0.5 1.000002 1.0")
    assert split.faults() == [] and split.truth(0, "detect").boxes.tolist() == [[0, 0, 40, 30]]


def test_encodings(tmp_path):
    split = labelled(tmp_path, LINE.encode("utf-16"), images=2)
    assert split.faults() == [] and len(split.truth(0, "detect").labels) == 1
    split = labelled(tmp_path, b"1 .5 .5 .1 .1 \xff\xfe\xfd", images=2)
    (fault,) = split.faults()
    assert fault.kind == "images whose label file cannot be read" and "left out" not in fault.what
    assert [split.key(i) for i in range(len(split))] == ["1.png"]


def test_repeated_lines_are_counted_by_the_task(tmp_path):
    split = labelled(tmp_path, f"{LINE}\n{LINE}\n{LINE}\n0 .5 .5 .1 .1")
    summary = split.tasks["detect"].summary([split.truth(0, "detect")])
    assert summary["boxes"] == 4 and summary["repeated"] == 2


WRONG = {
    "corners": ("{i} {x} {y} {X} {Y}", "none would as x1 y1 x2 y2; write centre x y width height"),
    "first corner": ("{i} {x} {y} {w} {h}", "none would as x1 y1 width height; write centre x y width height"),
    "counted from 1": ("{j} {cx} {cy} .05 .05", "classes count from 0, not from 1"),
}


@pytest.mark.parametrize("case", WRONG)
def test_boxes_in_another_form_are_refused(tmp_path, case):
    form, words = WRONG[case]
    random = np.random.default_rng(0)
    lines = []
    for n in range(12):
        w, h = random.uniform(0.3, 0.6, 2)
        x, y = random.uniform(0, 1 - w), random.uniform(0, 1 - h)
        values = {"x": x, "y": y, "w": w, "h": h, "X": x + w, "Y": y + h, "cx": x + w / 2, "cy": y + h / 2}
        lines.append(form.format(i=n % 3, j=n % 3 + 1, **values))
    split = labelled(tmp_path, "\n".join(lines))
    (fault,) = [fault for fault in split.faults() if fault.wrong]
    assert words in fault.what and fault.where == "train, labels"
    with pytest.raises(DataRefused, match=words):
        refuse_faults(split, ["detect"], {}, lambda text: None)


def test_a_tenth_of_the_boxes_shows_the_first_corner(tmp_path):
    """Most boxes lie in their images either way; one is careless, so that next to none would leave them."""
    inside, out = ["1 .4 .4 .2 .2"] * 79, ["1 .05 .3 .2 .4"] * 20
    split = labelled(tmp_path, "\n".join([*inside, *out, "1 .9 .4 .2 .2"]))
    assert [fault.what for fault in split.faults() if fault.wrong] == [
        "20 of 100 boxes leave their image, and 1 would as x1 y1 width height; write centre x y width height"
    ]
    for careless in (["1 .05 .3 .2 .4"] * 10 + ["1 .95 .3 .2 .4"] * 10, out[:7]):  # at both sides, or few
        split = labelled(tmp_path, "\n".join([*inside, *careless]))
        assert split.faults() and not any(fault.wrong for fault in split.faults())


def test_images_and_labels_that_do_not_belong_together(tmp_path):
    files = {
        "data.yaml": NAMES,
        **{f"images/train/{name}": "" for name in ("a.png", "a.jpg", "b.png", "c.png", "d.png")},
        **{f"labels/train/{name}.txt": LINE for name in "abx"},
        "labels/train/d.txt": "",
        "images/train/b.txt": "0 .5 .5 .1 .1",
        "labels/train/classes.txt": "cat\ndog\nbrush\n",
        "labels/train.cache": b"\x80\x04",
        "images/train/labels.cache": b"\x80\x04",
    }
    split = open_yolo(write(tmp_path, files))["train"]
    assert len(split) == 5 and "labels.cache" not in str(split.faults())
    found = {fault.kind: fault for fault in split.faults()}
    assert found["images that share a label file"].where == "train, image a.png"
    assert "image c.png" in found["images without a label file, taken for images without objects"].where
    assert "labels are taken from" in found["images with several label files"].what
    assert found["label files without an image"].where.endswith("x.txt") and len(found) == 4
    assert [len(split.truth(i, "detect").labels) for i in range(5)] == [1, 1, 1, 0, 0]


DESCRIPTIONS = {
    "names: [cat, dog]\nnc: 3\n": "nc is 3, but names has 2; correct one of them",
    "names: [cat, cat]\n": "classes 0 and 1 are both named cat",
    "names: [cat, '']\n": "class 1 has no name",
    "nc: 3\n": r"data\.yaml has no names: of its classes; add a line such as names: \[cat, dog\]",
    "names: cat\n": "names should be a list of class names, or numbers with names, not 'cat'",
    "names: {a: cat}\n": "names has 'a' for a number",
    "names: [cat, [dog]]\n": "names should be a list of class names",
    "names: []\n": "names should be a list of class names",
    "names: [cat\n": "cannot be read as YAML",
    "names:\n\t- cat\n": "where tabs do not count as blanks",
    "names: [caf\udce9]\n": r"data\.yaml: it is not in UTF-8 .*; save it as UTF-8",
    "- names: x\n": "it should hold keys such as names: and train:, not list",
    "train: 7\nnames: [cat]\n": "train: there is no 7; looked for",
    "train: {a: b}\nnames: [cat]\n": "train should be a folder, a .txt file or a list of these",
    "train: nowhere/images\nnames: [cat]\n": "train: there is no nowhere/images; looked for .*nowhere/images",
    "train: data.yaml\nnames: [cat]\n": "data.yaml is neither a folder of images nor a .txt file that lists them",
    "train: empty.txt\nnames: [cat]\n": "none of the first images that it lists is there, such as nothing",
    "train: gone.txt\nnames: [cat]\n": "none of the first images that it lists is there, such as far/away.png",
    "train: labels\nnames: [cat]\n": "labels holds no images, but 1 other file",
    "kpt_shape: [a]\nnames: [cat]\n": r"kpt_shape should be \[points, 2 or 3\]",
}


@pytest.mark.parametrize("yaml", DESCRIPTIONS)
def test_descriptions_that_cannot_be(tmp_path, yaml):
    files = {"images/train/a.png": "", "labels/train/a.txt": LINE, "empty.txt": "", "gone.txt": "far/away.png\n"}
    write(tmp_path, {"data.yaml": yaml.encode(errors="surrogateescape"), **files})
    with pytest.raises(ArgusError, match=DESCRIPTIONS[yaml]):
        open_yolo(tmp_path)


def test_a_test_split_that_is_only_named(tmp_path):
    yaml = "train: images/train\ntest: ../test/images\n" + NAMES
    split = labelled(tmp_path, LINE, yaml)
    assert split.faults() == []
    assert split.remarks() == ["data.yaml names a test split that is not there, ../test/images"]
    for wrong in ("test: [images/train, gone]\n", "val: gone\n"):
        with pytest.raises(ArgusError, match="there is no gone"):
            labelled(tmp_path, LINE, "train: images/train\n" + wrong + NAMES)


def test_folders_that_are_no_data_set_of_yolo(tmp_path):
    with pytest.raises(ArgusError, match="no such folder or YAML file"):
        open_yolo(tmp_path / "none")
    with pytest.raises(
        ArgusError, match=r"nothing names the classes; looked for data\.yaml.*names: \[cat, dog\], or classes\.txt"
    ):
        open_yolo(tmp_path)
    write(tmp_path, {"classes.txt": "cat\n", "labels/classes.txt": "dog\n"})
    with pytest.raises(ArgusError, match="name different classes; keep one"):
        open_yolo(tmp_path)
    write(tmp_path, {"a.yaml": NAMES, "b.yml": NAMES, "c.json": "{}"})
    with pytest.raises(ArgusError, match=r"holds a\.yaml and b\.yml; give one, as in yolo:.*a\.yaml"):
        open_yolo(tmp_path)
    with pytest.raises(ArgusError, match=r"are a folder, a YAML file or obj\.data, and this is none of them"):
        open_yolo(tmp_path / "c.json")
