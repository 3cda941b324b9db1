"""CSV and TSV files of images: layouts, columns, classes, boxes, and how they break."""

from __future__ import annotations

import csv
import tempfile
from functools import cache
from pathlib import Path

import pytest

from argus_core.data.check import DataRefused, check_data, refuse_faults
from argus_core.errors import ArgusError
from argus_core.testing import data_suite
from argus_data.folders.class_folders import open_folder
from argus_data.tables.data_set import open_table, table_layout
from coco_folders import box, flat, image
from yolo_folders import write

PETS = "image,label\na.png,cat\nb.png,dog\nc.png,cat\n"
IMAGES = dict.fromkeys(("a.png", "b.png", "c.png"), "")
BOXES = "filename,width,height,class,xmin,ymin,xmax,ymax\na.png,40,30,dog,4,5,14,13\na.png,40,30,cat,0,0,40,30\n"


def labels(split):
    return {split.key(i): split.truth(i, "classify") for i in range(len(split))}


HEADERS = [
    "image,label",
    "Filename,Class Name",
    "file_path,CATEGORY",
    "id,breed,label",
    '"image","label"',
    "image;label",
    "image\tlabel",
    "label,image",
]


@pytest.mark.parametrize("header", HEADERS)
def test_columns_are_known_by_their_names(tmp_path, header):
    sign = next((sign for sign in ";\t" if sign in header), ",")
    names = [name.strip('"').lower() for name in header.split(sign)]
    rows = [
        sign.join("x" if "breed" in name else label if name[0] in "lc" else file for name in names)
        for file, label in (("a.png", "cat"), ("b.png", "dog"))
    ]
    split = open_table(write(tmp_path, {"pets.csv": "\n".join([header, *rows]), **IMAGES}))["all"]
    assert split.tasks["classify"].classes == ("cat", "dog") and labels(split) == {"a.png": 0, "b.png": 1}
    assert split.faults() == [] and split.read(0).shape == (30, 40, 3)


def test_a_column_of_splits(tmp_path):
    rows = "0,train/a.png,cat,train\n1,train/b.png,dog,valid\n0,train/c.png,cat,Test\n"
    text = "class index,filepaths,labels,data set\n" + rows
    data = open_table(write(tmp_path, {"birds.csv": text, **{f"train/{name}": "" for name in IMAGES}}))
    assert list(data) == ["train", "val", "test"] and data["val"].key(0) == "train/b.png"
    assert [labels(split)[split.key(0)] for split in data.values()] == [0, 1, 0]


def test_a_table_for_each_split_and_ids_without_a_suffix(tmp_path):
    """Kaggle's way: train.csv of ids, beside the images in train/."""
    tables = {
        "train.csv": "id,label\na,cat\nb,dog\n",
        "Valid.csv": "id,label\nc,cat\n",
        "sample_submission.csv": "id,x\n",
    }
    images = {"train/a.png": "", "train/b.png": "", "valid/c.png": ""}
    data = open_table(write(tmp_path, {**tables, **images}))
    assert {name: [split.key(i) for i in range(len(split))] for name, split in data.items()} == {
        "train": ["a.png", "b.png"],
        "val": ["c.png"],
    }


KAGGLE = {
    "train.csv": "image,label\na.png,cat\nb.png,dog\n",
    "test.csv": "image\nc.png\n",
    "sample_submission.csv": "image,label\nc.png,bird\n",
}


@pytest.mark.parametrize("test", ["image\nc.png\n", "image,label\nc.png,\n", "image,size\nc.png,3\n"])
def test_a_test_set_without_labels(tmp_path, arena, test):
    write(tmp_path, {**KAGGLE, "test.csv": test, **{f"images/{name}": "" for name in IMAGES}})
    data = open_table(tmp_path)
    assert data["train"].tasks["classify"].classes == ("cat", "dog") and data["test"].key(0) == "c.png"
    assert data["test"].tasks == {} and data["test"].faults() == [] and len(data["test"]) == 1
    code, out, err = arena(f"data check {tmp_path}")
    assert code == 0 and (out + err).count("test.csv gives no image of it a class; it is opened without labels") == 1


def test_a_column_of_splits_with_a_test_set_without_labels(tmp_path):
    text = "image,label,split\na.png,cat,train\nb.png,dog,train\nc.png,,test\n"
    data = open_table(write(tmp_path, {"t.csv": text, **IMAGES}))
    assert [len(split.tasks) for split in data.values()] == [1, 0]


def test_boxes_with_a_test_set_without(tmp_path):
    data = open_table(write(tmp_path, {"train.csv": BOXES, "test.csv": "id\nb\n", "a.png": "", "test/b.png": ""}))
    assert list(data["train"].tasks) == ["detect"] and data["test"].key(0) == "b.png" and not data["test"].tasks


def test_one_sample_submission_beside_a_single_table(tmp_path):
    write(tmp_path, {"labels.csv": PETS, "sampleSubmission.csv": PETS, **IMAGES})
    assert list(open_table(tmp_path)) == ["all"]


@pytest.mark.parametrize(("no", "yes"), [("0", "1"), ("0.0", "1.0")])
def test_a_column_for_each_class(tmp_path, no, yes):
    text = f"filename, cat, wild dog\na.png, {yes}, {no}\nb.png, {no}, {yes}\n"
    write(tmp_path, {"train/_classes.csv": text, "train/a.png": "", "train/b.png": ""})
    split = open_table(tmp_path)["train"]
    assert split.tasks["classify"].classes == ("cat", "wild dog") and split.faults() == []
    assert labels(split) == {"a.png": 0, "b.png": 1}
    assert table_layout(tmp_path) == f"{Path('train/_classes.csv')} has columns of images and labels"


MARKS = {
    "c.png,0,0": ("all, t.csv, line 4", "c.png has no class"),
    "c.png,1,1": ("all, t.csv, line 4", "it has a 1 for cat and dog; an image has one class"),
    "c.png,1,x": ("all, t.csv, line 4", "it has 'x' in the column dog, which is neither 0 nor 1"),
}


@pytest.mark.parametrize("row", MARKS)
def test_rows_without_just_one_mark_are_left_out(tmp_path, row):
    split = open_table(write(tmp_path, {"t.csv": f"image,cat,dog\na.png,1,0\nb.png,0,1\n{row}\n", **IMAGES}))["all"]
    (fault,) = split.faults()
    assert (fault.where, fault.what) == MARKS[row] and fault.dropped and len(split) == 2 and fault.total == 3


def test_several_classes_for_most_images_are_refused(tmp_path):
    write(tmp_path, {"t.csv": "image,cat,dog\na.png,1,1\nb.png,0,1\nc.png,1,1\n", **IMAGES})
    with pytest.raises(ArgusError, match="2 of 3 rows have a 1 for several classes; several classes per image are not"):
        open_table(tmp_path)


@pytest.mark.parametrize("rows", ["d.png,bird\n", "e.png,owl\ne.png,hen\n"])
def test_rows_that_are_left_out_add_no_classes(tmp_path, rows):
    write(tmp_path, {"train.csv": PETS, "val.csv": f"image,label\na.png,dog\n{rows}", **IMAGES, "e.png": ""})
    for split in open_table(tmp_path).values():
        assert split.tasks["classify"].classes == ("cat", "dog")


def test_boxes_that_are_left_out_add_no_classes(tmp_path):
    row = "a.png,40,30,ape,50,5,60,13\n"
    split = open_table(write(tmp_path, {"t.csv": BOXES + row, "a.png": ""}))["all"]
    task = split.tasks["detect"]
    assert task.classes == ("cat", "dog") and task.categories == (1, 2)
    assert split.truth(0, "detect").labels.tolist() == [1, 0]


def test_ids_that_several_images_have(tmp_path):
    write(tmp_path, {"t.csv": "id,label\n1,cat\n", "x/1.png": "", "y/1.png": ""})
    with pytest.raises(ArgusError, match=r"x/1\.png and y/1\.png have the same name; images=FOLDER says"):
        open_table(tmp_path)
    assert open_table(tmp_path, images="y")["all"].key(0) == "1.png"


def test_paths_of_another_machine(tmp_path):
    text = "path,label\nC:\\data\\pets\\images\\a.png,cat\nC:\\data\\pets\\images\\b.png,dog\n"
    split = open_table(write(tmp_path, {"t.csv": text, "images/a.png": "", "images/b.png": ""}))["all"]
    assert [split.key(i) for i in range(2)] == ["images/a.png", "images/b.png"] and split.read(1).shape == (30, 40, 3)


def test_without_a_header(tmp_path):
    write(tmp_path, {"t.csv": "1,a.png,cat\n2,b.png,dog\n", **IMAGES})
    with pytest.raises(
        ArgusError, match=r"the first line, 1,a\.png,cat, names no column of images .*columns=image,label"
    ):
        open_table(tmp_path)
    assert labels(open_table(tmp_path, columns="-,image,label")["all"]) == {"a.png": 0, "b.png": 1}


def test_named_columns(tmp_path):
    write(tmp_path, {"t.csv": "photo,breed,part\na.png,cat,train\nb.png,dog,val\n", **IMAGES})
    data = open_table(tmp_path, image="photo", label="breed", split="part")
    assert list(data) == ["train", "val"] and labels(data["val"]) == {"b.png": 1}
    with pytest.raises(ArgusError, match=r"label=race: .* has no such column; it has photo, breed, part"):
        open_table(tmp_path, image="photo", label="race")


def test_numbers_as_classes_are_in_order(tmp_path):
    rows = "".join(f"{name},{label}\n" for name, label in zip(IMAGES, ("10", "9", "0"), strict=True))
    split = open_table(write(tmp_path, {"t.csv": "image,label\n" + rows, **IMAGES}))["all"]
    assert split.tasks["classify"].classes == ("0", "9", "10")


def test_as_class_folders_say_it(tmp_path):
    """The same truth, in the same order, as the folders that the table lists."""
    names = [f"train/{label}/{n}.png" for label in ("cat", "dog") for n in range(3)]
    write(tmp_path, dict.fromkeys(names, ""))
    with (tmp_path / "train.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("image", "label"), *((name[6:], name.split("/")[1]) for name in names)])
    (tmp_path / "train").rename(tmp_path / "images")
    table = open_table(tmp_path)["train"]
    (tmp_path / "images").rename(tmp_path / "train")
    folders = open_folder(tmp_path)["train"]
    assert table.annotation_digest() == folders.annotation_digest()


@pytest.mark.parametrize("place", ["t.csv", "train/_annotations.csv", "train_labels.csv"])
def test_boxes(tmp_path, place):
    split = next(iter(open_table(write(tmp_path, {place: BOXES, "a.png": "", "train/a.png": ""})).values()))
    truth = split.truth(0, "detect")
    assert split.classes == ("cat", "dog") and len(split) == 1 and split.size(0) == (30, 40) and split.faults() == []
    assert truth.boxes.tolist() == [[4, 5, 14, 13], [0, 0, 40, 30]] and truth.labels.tolist() == [1, 0]
    assert truth.area.tolist() == [80, 1200]


def test_boxes_as_a_coco_file_says_them(tmp_path):
    categories = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    entries = [box(1, 1, 2, area=80.0), box(2, 1, 1, (0, 0, 40, 30), area=1200.0)]
    coco = flat(tmp_path / "coco", entries, [image(1, file_name="a.png")], categories)
    table = open_table(write(tmp_path / "table", {"t.csv": BOXES, "a.png": ""}))["all"]
    assert table.annotation_digest() == coco.annotation_digest()


def test_images_without_objects_and_sizes_that_are_not_given(tmp_path):
    """As keras-retinanet has it: no header, and empty cells for an image with nothing on it."""
    text = "a.png,4,5,14,13,dog\na.png,30,20,50,40,dog\nb.png,,,,,\n"
    write(tmp_path, {"t.csv": text, **IMAGES})
    split = open_table(tmp_path, columns="image,x1,y1,x2,y2,label")["all"]
    assert len(split) == 2 and len(split.truth(1, "detect").labels) == 0
    assert split.truth(0, "detect").boxes.tolist() == [[4, 5, 14, 13], [30, 20, 40, 30]]
    (fault,) = split.faults()
    assert fault.where == "all, t.csv, annotation in line 2" and "leaves a.png" in fault.what


BROKEN = {
    "d.png,cat": ("line 5", "there is no image d.png", True),
    "a.png,cat": ("line 5", "a.png is listed before", False),
    "a.png,dog": ("line 5", "a.png is 'dog' here and 'cat' before; an image has one class", True),
    ",cat": ("line 5", "there is no image without a name", True),
    "d.png,": ("line 5", "there is no image d.png", True),
    "a.png,cat,wild": ("line 5", "it has 3 columns, not 2; put texts with commas in double quotes", True),
    "a.png": ("line 5", "it has 1 columns, not 2", True),
    " , ": ("line 5", "it is empty apart from separators", False),
    "a.png,": ("line 5", "a.png has no class", True),
}


@pytest.mark.parametrize("row", BROKEN)
def test_every_broken_row_is_named(tmp_path, row):
    where, what, dropped = BROKEN[row]
    split = open_table(write(tmp_path, {"t.csv": f"{PETS}{row}\n", **IMAGES}))["all"]
    (fault,) = split.faults()
    assert what in fault.what and fault.where == f"all, t.csv, {where}" and fault.dropped is dropped
    assert len(split) == (2 if "one class" in what else 3)


def test_a_row_without_a_class(tmp_path):
    split = open_table(write(tmp_path, {"t.csv": "image,label\na.png,cat\nb.png, \n", **IMAGES}))["all"]
    assert [fault.what for fault in split.faults()] == ["b.png has no class"] and len(split) == 1


@pytest.mark.parametrize(
    "text", ["\ufeff" + PETS, PETS.replace("\n", "\r\n"), PETS.replace("\n", "\n\n"), PETS.replace(",", " , ")]
)
def test_what_spreadsheets_leave_is_no_fault(tmp_path, text):
    split = open_table(write(tmp_path, {"t.csv": text, **IMAGES}))["all"]
    assert split.faults() == [] and split.tasks["classify"].classes == ("cat", "dog")


def test_quoted_commas_and_encodings(tmp_path):
    text = 'image,label\n"a,b.png","cat, wild"\nb.png,"say ""cat"""\n'
    write(tmp_path, {"a,b.png": "", "b.png": ""})
    for raw in (text.encode(), text.encode("utf-16")):
        (tmp_path / "t.csv").write_bytes(raw)
        split = open_table(tmp_path)["all"]
        assert split.tasks["classify"].classes == ("cat, wild", 'say "cat"') and split.key(0) == "a,b.png"
    (tmp_path / "t.csv").write_bytes("image,label\na.png,größe\n".encode("cp1252"))
    with pytest.raises(ArgusError, match=r"t\.csv: it is not in UTF-8 .* at byte 20\); save it as UTF-8"):
        open_table(tmp_path)


def test_two_spellings_of_a_class_are_told(tmp_path):
    data = open_table(write(tmp_path, {"t.csv": "image,label\na.png,Cat \nb.png,cat\nc.png,cat\n", **IMAGES}))
    assert any(
        "'Cat' and 'cat' differ in case or spaces alone" in fault.what for fault in check_data(data)["all"].faults
    )


def test_a_column_that_is_none_of_classes_is_refused(tmp_path):
    rows = "".join(f"{n}.png,{n / 7:.3f}\n" for n in range(30))
    names = {f"{n}.png": "" for n in range(30)}
    split = open_table(write(tmp_path, {"t.csv": "image,target\n" + rows, **names}))["all"]
    with pytest.raises(DataRefused, match="its 30 rows have 30 different labels: are they classes"):
        refuse_faults(split, ["classify"], {}, lambda text: None)


BROKEN_BOXES = {
    "a.png,40,30,dog,4,5,4,13": "no area",
    "a.png,40,30,dog,14,5,4,13": "no area",
    "a.png,40,30,dog,4,5,x,13": "its box ['4', '5', 'x', '13'] is not four numbers",
    "a.png,40,30,dog,,,,": "is not four numbers",
    "a.png,40,30,dog,4,5,nan,13": "not finite",
    "a.png,40,30,dog,50,5,60,13": "lies outside a.png",
    "a.png,40,30,,4,5,14,13": "its box in a.png has no class",
    "a.png,30,40,dog,4,5,14,13": "it says that a.png is 40x30, an earlier one 30x40",
}


@pytest.mark.parametrize("row", BROKEN_BOXES)
def test_every_broken_box_is_named(tmp_path, row):
    split = open_table(write(tmp_path, {"t.csv": f"{BOXES}{row}\n", "a.png": ""}))["all"]
    (fault,) = split.faults()
    assert BROKEN_BOXES[row] in fault.what and "line 4" in fault.where


def test_boxes_as_shares_are_refused(tmp_path):
    """Open Images has them, in columns of the same names."""
    text = "ImageID,LabelName,XMin,XMax,YMin,YMax\n" + "a,cat,0.1,0.6,0.2,0.9\na,dog,0.3,0.5,0.1,0.4\n"
    split = open_table(write(tmp_path, {"t.csv": text, "images/a.png": ""}))["all"]
    assert any(fault.wrong and "they are shares of the image; write pixels" in fault.what for fault in split.faults())


TABLES = {
    'image,label\na.png,"cat\nb.png,dog\n': "line 3: cannot be read as a table: unexpected end of data",
    "": "is empty",
    "image,label\n": "has no rows",
    "image,size\na.png,3\n": "no column is called label, class or category; its columns are image, size",
    "image,label\nz.png,cat\n": r"none of the 1 images that it names is there, such as 'z\.png'; .*images=FOLDER",
    "image,label\na.png,\n": "gives no image a class; its column of labels is empty",
    "image,label,split\na.png,cat,holdout\n": r"line 2: split 'holdout' is not one of train, val and test",
}


@pytest.mark.parametrize("text", TABLES)
def test_tables_that_cannot_be(tmp_path, text):
    write(tmp_path, {"t.csv": text, "a.png": ""})
    with pytest.raises(ArgusError, match=TABLES[text]):
        open_table(tmp_path)


def test_folders_without_one_table(tmp_path):
    with pytest.raises(ArgusError, match="no such file or folder"):
        open_table(tmp_path / "none")
    with pytest.raises(ArgusError, match=r"holds no train\.csv, val\.csv or test\.csv, .*and no single table$"):
        open_table(tmp_path)
    write(tmp_path, {"a.csv": PETS, "b.csv": PETS})
    with pytest.raises(ArgusError, match=r"it holds a\.csv, b\.csv: give one, as in csv:.*a\.csv"):
        open_table(tmp_path)
    write(tmp_path / "mixed", {"train.csv": PETS, "val.csv": BOXES, **IMAGES})
    with pytest.raises(ArgusError, match="only some have boxes"):
        open_table(tmp_path / "mixed")


def test_data_check(tmp_path, arena):
    write(tmp_path, {"t.csv": PETS, **IMAGES})
    code, out, err = arena(f"data check {tmp_path}")
    assert code == 0 and "all: images 3, readable 3" in out and "{cat: 2, dog: 1}" in out
    assert err == f"{tmp_path}: taken for csv:{tmp_path} (t.csv has columns of images and labels)\n"


FOLDER = tempfile.TemporaryDirectory()


@cache
def example(kind: str) -> Path:
    rows = "".join(f"{n}.png,{('train', 'val')[n % 2]},{('cat', 'dog')[n // 2]},1,2,30,{n + 9}\n" for n in range(4))
    text = {"boxes": "image,split,label,x1,y1,x2,y2\n" + rows}
    text["classes"] = "\n".join(",".join(line.split(",")[:3]) for line in text["boxes"].splitlines())
    return write(Path(FOLDER.name) / kind, {"t.csv": text[kind], **{f"{n}.png": "" for n in range(4)}})


test_conformance = data_suite(lambda: open_table(example("classes")), lambda: open_table(example("boxes")))
