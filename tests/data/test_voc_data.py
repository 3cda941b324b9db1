"""Folders in Pascal VOC's format: layouts, boxes and masks against torchvision and supervision, COCO's truth."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import VOCDetection, VOCSegmentation

from argus_core.data.check import check_data, check_split
from argus_core.errors import ArgusError
from argus_core.testing import check_data as kit
from argus_data.coco.split import open_coco
from argus_data.voc.classes import VOC_CLASSES
from argus_data.voc.layout import voc_layout
from argus_data.voc.split import open_voc
from coco_folders import box as coco_box
from coco_folders import write as write_coco
from voc_folders import SIZE, annotation, beside, devkit, palette_mask, picture, text, thing

SHARED = Path(__file__).resolve().parents[2].parent / "shared"


def sizes(data):
    return {name: len(split) for name, split in data.items()}


def corners(split, index=0):
    return split.truth(index, "detect").boxes.tolist()


@pytest.mark.parametrize("below", ["", "archive", "archive/VOCdevkit", "archive/VOCdevkit/VOC2012"])
def test_the_devkit_from_any_folder_above(tmp_path, below):
    devkit(tmp_path / "archive")
    data = open_voc(tmp_path / below)
    assert sizes(data) == {"train": 3, "val": 1} and data["train"].key(1) == "2007_000001.jpg"
    truth = data["val"].truth(0, "detect")
    # Pixels count from 1 and the last one belongs to the box; boxes of parts are no objects.
    assert truth.boxes.tolist() == [[0, 0, 40, 30], [10, 5, 23, 15]] and truth.area.tolist() == [1200, 130]
    assert truth.labels.tolist() == [14, 7] and data["val"].classes == VOC_CLASSES
    assert truth.difficult.tolist() == [False, True] and not truth.crowd.any()
    assert not data["val"].faults() and not data["val"].remarks() and data["val"].size(0) == SIZE
    assert voc_layout(tmp_path / below)


def test_boxes_and_masks_are_those_that_torchvision_reads(tmp_path):
    devkit(tmp_path)
    for name, split in open_voc(tmp_path).items():
        reference = VOCDetection(tmp_path, "2012", name)
        for index in range(len(split)):
            image, content = reference[index]
            rows = [
                [int(o["bndbox"][tag]) for tag in ("xmin", "ymin", "xmax", "ymax")] for o in content_objects(content)
            ]
            assert corners(split, index) == [[x1 - 1, y1 - 1, x2, y2] for x1, y1, x2, y2 in rows]
            assert np.array_equal(split.read(index), np.asarray(image))
            flags = [o["difficult"] == "1" for o in content_objects(content)]
            assert split.truth(index, "detect").difficult.tolist() == flags
    for name, split in open_voc(tmp_path, sets="Segmentation").items():
        reference = VOCSegmentation(tmp_path, "2012", name)
        assert len(split) == len(reference) == 1
        assert np.array_equal(split.truth(0, "segment"), np.asarray(reference[0][1]))


def content_objects(content):
    return content["annotation"]["object"]


def test_masks_are_of_the_lists_of_segmentation(tmp_path):
    folder = devkit(tmp_path)
    main, masked = open_voc(tmp_path), open_voc(tmp_path, sets="segmentation")
    assert set(main["train"].tasks) == {"detect"} and set(masked["train"].tasks) == {"detect", "segment"}
    assert "sets=Segmentation" in main["train"].left_out() and not masked["train"].left_out()
    task = masked["train"].tasks["segment"]
    assert task.classes == ("background", *VOC_CLASSES) and task.ignore == 255
    assert sizes(masked) == {"train": 1, "val": 1} and masked["val"].key(0) == "2007_000003.jpg"
    assert np.unique(masked["val"].truth(0, "segment")).tolist() == [3, 15, 255]
    assert not any(report.faults for report in check_data(masked).values())
    digests = {split.annotation_digest() for split in (*main.values(), *masked.values())}
    (folder / "SegmentationClass/2007_000003.png").unlink()
    with pytest.raises(ArgusError, match=r"Segmentation/val\.txt: no image of this list has a mask"):
        open_voc(tmp_path, sets="Segmentation")
    palette_mask(folder / "SegmentationClass/2007_000003.png", np.zeros(SIZE))
    # The only image of val has a mask, so both give the same.
    assert len(digests) == 3 and open_voc(tmp_path, sets="Segmentation")["val"].annotation_digest() not in digests


def test_lists_of_other_names_years_and_no_boxes(tmp_path):
    folder = devkit(tmp_path, "2007")
    text(folder / "ImageSets/Main/test.txt", "2007_000003 \n")
    text(folder / "ImageSets/Main/trainval.txt", "2007_000000  1\r\n2007_000001\r\n")
    assert sizes(open_voc(tmp_path, train="trainval", val="test")) == {"train": 2, "val": 1}
    assert sizes(open_voc(tmp_path)) == {"train": 3, "val": 1, "test": 1}
    (fault,) = [fault for fault in open_voc(tmp_path)["test"].faults() if fault.wrong]
    assert "it shares 1 image with val.txt" in str(fault)
    devkit(tmp_path)
    with pytest.raises(ArgusError, match=r"VOC2007 and .*VOC2012.*year=2012"):
        open_voc(tmp_path)
    assert sizes(open_voc(tmp_path, year=2007))["test"] == 1 and sizes(open_voc(tmp_path, year="2012"))["train"] == 3
    with pytest.raises(ArgusError, match=r"year=2009 fits none of .*VOC2007"):
        open_voc(tmp_path, year="2009")
    with pytest.raises(ArgusError, match=r"unknown list .*'trianval'; did you mean 'trainval'"):
        open_voc(folder, train="trianval")
    with pytest.raises(ArgusError, match=r"Segmentatin.*did you mean 'Segmentation'"):
        open_voc(folder, sets="Segmentatin")
    with pytest.raises(ArgusError, match="limit=-1"):
        open_voc(folder, limit=-1)


def test_only_trainval_and_a_test_set_without_annotations(tmp_path):
    folder = devkit(tmp_path)
    for name in ("train", "val", "cat_train", "cat_val"):
        (folder / f"ImageSets/Main/{name}.txt").unlink()
    assert sizes(open_voc(folder)) == {"all": 4}
    picture(folder / "JPEGImages/2008_1.jpg", 9)
    text(folder / "ImageSets/Main/test.txt", "2008_1\n")
    data = open_voc(folder)
    assert sizes(data) == {"train": 4, "test": 1} and data["test"].tasks == {}
    with pytest.raises(ArgusError, match="'detect'"):
        data["test"].truth(0, "detect")


def test_limit_keeps_classes_and_the_first_images(tmp_path):
    folder = devkit(tmp_path)
    (folder / "classes.txt").write_text("cat\nperson\n")
    data = open_voc(tmp_path, limit=1)
    assert sizes(data) == {"train": 1, "val": 1} and data["train"].classes == ("cat", "person")
    assert data["train"].truth(0, "detect").labels.tolist() == [1, 0]


@pytest.mark.parametrize(
    "images, annotations",
    [
        ("{}", "{}"),  # Roboflow
        ("{}/images", "{}/annotations"),
        ("images/{}", "annotations/{}"),
        ("images/{}", "Annotations"),
        ("Images/{}", "xmls/{}"),
        ("{}/data", "{}/labels"),  # FiftyOne
    ],
)
def test_folders_of_splits(tmp_path, images, annotations):
    for seed, split in enumerate(("train", "valid", "Test")):
        for n in range(2):
            picture(tmp_path / images.format(split) / f"{split} {n}.jpg", 10 * seed + n)
            objects = [thing(("dog", "traffic light", "dog")[seed], (0, 2, 8, 9))]
            text(tmp_path / annotations.format(split) / f"{split} {n}.xml", annotation(*objects, source=""))
    data = open_voc(tmp_path)
    assert sizes(data) == {"train": 2, "val": 2, "test": 2} and data["val"].key(1) == "valid 1.jpg"
    # Classes are those of all splits, so that train and val agree.
    assert data["train"].classes == ("dog", "traffic light")
    assert corners(data["val"]) == [[0, 2, 8, 9]] and data["val"].truth(0, "detect").labels.tolist() == [1]
    assert not any(split.faults() + split.remarks() for split in data.values())
    assert voc_layout(tmp_path).startswith("<annotation> in ") and not any(kit(lambda: open_voc(tmp_path)).values())


def test_one_folder_without_splits(tmp_path):
    beside(tmp_path / "a", thing("b"), name="x")
    beside(tmp_path / "a", thing("a"), name="y", seed=1)
    assert sizes(open_voc(tmp_path / "a")) == {"all": 2} and open_voc(tmp_path / "a")["all"].classes == ("a", "b")
    picture(tmp_path / "b/images/x.jpg")
    text(tmp_path / "b/annotations/x.xml", annotation(thing("a"), source=""))
    assert sizes(open_voc(tmp_path / "b")) == {"all": 1}
    with pytest.raises(ArgusError, match="train=trainval name lists of ImageSets"):
        open_voc(tmp_path / "b", train="trainval")


def test_an_xml_file_without_objects_is_a_background_image(tmp_path):
    beside(tmp_path)
    beside(tmp_path, thing("a"), name="b", seed=1)
    picture(tmp_path / "c.png", 2)
    split = open_voc(tmp_path)["all"]
    assert [split.key(i) for i in range(2)] == ["a.png", "b.png"] and corners(split) == []
    (fault,) = split.faults()
    assert str(fault) == "all, image c.png: it has no annotation (left out)" and fault.total == 3
    empty = open_voc(tmp_path, missing="empty")["all"]
    assert len(empty) == 3 and corners(empty, 2) == [] and not empty.faults()


@pytest.mark.parametrize(
    "source, start, option, one_based, told",
    [
        ("<database>The VOC2007 Database</database><annotation>PASCAL VOC2007</annotation>", 1, "auto", True, ""),
        ("<database>roboflow.com</database>", 1, "auto", True, ""),
        ("<database>predictions of Argus</database>", 1, "auto", True, ""),
        ("<database>Unknown</database>", 1, "auto", False, "nothing tells whether"),
        ("<database>Unknown</database>", 0, "auto", False, ""),
        ("<annotation>PASCAL VOC2007</annotation>", 0, "auto", False, "1 corners of boxes are below 1, although"),
        ("<annotation>PASCAL VOC2007</annotation>", 1, False, False, ""),
        ("<database>Unknown</database>", 1, True, True, ""),
    ],
)
def test_how_pixels_are_counted(tmp_path, source, start, option, one_based, told):
    beside(tmp_path, thing("a", (start, 6, 20, 15)), source=source)
    split = open_voc(tmp_path, one_based=option)["all"]
    assert corners(split) == [[start - one_based, 6 - one_based, 20, 15]]
    assert split.remarks() == [] if not told else told in split.remarks()[0]
    assert bool(check_split(split).remarks) == bool(told)


def test_difficult_objects_may_count_as_others(tmp_path):
    beside(tmp_path, *(thing("a", (n, 2, 9, 9), flag) for n, flag in enumerate(("1", "0", "true", "", " 1 "))))
    flags = [True, False, True, False, True]
    assert open_voc(tmp_path)["all"].truth(0, "detect").difficult.tolist() == flags
    ordinary = open_voc(tmp_path, difficult="object")["all"]
    assert not ordinary.truth(0, "detect").difficult.any()
    assert ordinary.annotation_digest() != open_voc(tmp_path)["all"].annotation_digest()


def test_names_and_numbers_as_tools_write_them(tmp_path):
    first, second = thing("traffic\n  light ", ("1.5", " 2 ", "8.25", "9e0")), thing("a&<b>", (0, 0, 4, 4))
    beside(tmp_path, first.replace("<object>", "<OBJECT>").replace("</object>", "</OBJECT>"), second, name="é 1")
    beside(tmp_path, thing("z"), name="utf16", seed=1)
    content = (tmp_path / "utf16.xml").read_text()
    text(tmp_path / "utf16.xml", ('<?xml version="1.0" encoding="utf-16"?>' + content).encode("utf-16"))
    beside(tmp_path, name="gbk", seed=2)
    text(tmp_path / "gbk.xml", ('<?xml version="1.0" encoding="GBK"?>' + annotation(thing("猫"))).encode("gbk"))
    beside(tmp_path, name="bom", seed=3)
    text(tmp_path / "bom.xml", annotation(thing("z")).encode("utf-8-sig"))
    split = open_voc(tmp_path, one_based=False)["all"]
    assert split.classes == ("a&<b>", "traffic light", "z", "猫") and not split.faults()
    keys = [split.key(index) for index in range(len(split))]
    assert corners(split, keys.index("é 1.png")) == [[1.5, 2, 8.25, 9], [0, 0, 4, 4]]


def test_an_image_is_found_by_name_and_else_by_what_the_file_says(tmp_path):
    beside(tmp_path, thing("a"), name="renamed", filename="before.jpg")
    picture(tmp_path / "photo 1.jpg", 1)
    text(tmp_path / "17.xml", annotation(thing("b"), source="", filename="C:\\data\\photo 1.jpg"))
    split = open_voc(tmp_path)["all"]
    assert [split.key(i) for i in range(2)] == ["photo 1.jpg", "renamed.png"] and not split.faults()
    assert split.truth(0, "detect").labels.tolist() == [1]
    beside(tmp_path, thing("a"), name="other", seed=3, filename="renamed.png")
    (fault,) = open_voc(tmp_path)["all"].faults()
    assert "other.xml" in str(fault) and "<filename> is 'renamed.png'" in str(fault) and not fault.dropped


def test_names_in_lists_may_have_blanks_suffixes_and_folders(tmp_path):
    names = {"my image": "my image", "sub/b": "sub/b", "c.jpg": "c", "JPEGImages/d.jpg": "d", "e  -1": "e"}
    names |= {"/old/VOC2007/JPEGImages/f.jpg": "f", "D:\\VOC2007\\JPEGImages\\g.jpg": "g"}
    for seed, name in enumerate(names.values()):
        picture(tmp_path / f"JPEGImages/{name}.jpg", seed)
        text(tmp_path / f"Annotations/{name}.xml", annotation(thing("cat")))
    text(tmp_path / "ImageSets/Main/Train.txt", "\ufeff" + "\n".join(names) + "\n\n")
    split = open_voc(tmp_path)["train"]
    assert [split.key(i) for i in range(len(split))] == [
        f"{name}.jpg" for name in names.values()
    ] and not split.faults()


def cvat(root, colors):
    """What CVAT writes for a task: one list, ``default``, and a map of labels with colours."""
    text(root / "labelmap.txt", "# label:color_rgb:parts:actions\n" + "".join(f"{n}:{c}::\n" for n, c in colors))
    for n in range(2):
        picture(root / f"JPEGImages/sub/{n}.jpg", n)
        pixels = np.zeros((*SIZE, 3), dtype=np.uint8)
        pixels[3:9], pixels[9:12], pixels[12] = (10, 20, 30), (128, 0, 0), (224, 224, 192)
        (root / "SegmentationClass/sub").mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(root / f"SegmentationClass/sub/{n}.png")
    text(root / "ImageSets/Segmentation/default.txt", "sub/0\nsub/1\n")


def test_masks_in_the_colours_of_cvat(tmp_path):
    cvat(tmp_path, [("background", "0,0,0"), ("dent", "128,0,0"), ("my car", "10,20,30")])
    split = open_voc(tmp_path)["all"]
    assert split.tasks["segment"].classes == ("background", "dent", "my car") and set(split.tasks) == {"segment"}
    assert split.truth(0, "segment")[:, 0].tolist()[2:14] == [0, *[2] * 6, *[1] * 3, 255, 0]
    assert not any(kit(lambda: open_voc(tmp_path)).values())
    cvat(tmp_path, [("dent", "128,0,0"), ("my car", "10,20,30")])
    assert open_voc(tmp_path)["all"].tasks["segment"].classes == ("background", "dent", "my car")
    cvat(tmp_path, [("background", "0,0,0"), ("dent", "128,0,0"), ("my car", "10,20,31")])
    with pytest.raises(ArgusError, match=r"0\.png: 240 pixels have colours of no class, such as \(10, 20, 30\)"):
        open_voc(tmp_path)["all"].truth(0, "segment")
    (tmp_path / "labelmap.txt").unlink()
    text(tmp_path / "classes.txt", "dent\nmy car\n")
    # Without colours those of VOC's palette count: the first class is dark red.
    with pytest.raises(ArgusError, match="240 pixels have colours"):
        open_voc(tmp_path)["all"].truth(0, "segment")


def test_boxes_of_cvat_have_the_classes_of_its_map(tmp_path):
    text(
        tmp_path / "labelmap.txt",
        "# label:color_rgb:parts:actions\nbackground:0,0,0::\nzebra:1,2,3::\nant:4,5,6:leg:\n",
    )
    picture(tmp_path / "JPEGImages/1.jpg")
    text(
        tmp_path / "Annotations/1.xml", annotation(thing("ant", (0, 0, 9.5, 9)), source="<database>Unknown</database>")
    )
    text(tmp_path / "ImageSets/Main/default.txt", "1\n")
    text(tmp_path / "ImageSets/Main/ant_default.txt", "1  1\n")
    split = open_voc(tmp_path)["all"]
    assert split.classes == ("zebra", "ant") and split.truth(0, "detect").labels.tolist() == [1]
    (tmp_path / "Annotations/1.xml").write_text(annotation(thing("gnu", (0, 0, 9, 9))))
    (fault,) = open_voc(tmp_path)["all"].faults()
    assert "there is no class 'gnu'" in str(fault) and fault.dropped


def test_the_same_truth_as_coco_has_the_same_digest(tmp_path):
    objects = [thing("cat", (5, 6, 14, 13)), thing("dog", (1, 1, 8, 9))]
    beside(tmp_path / "voc/train", *objects, name="1", seed=1, source="<database>roboflow.com</database>")
    categories = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    image = {"id": 1, "file_name": "1.png", "height": 30, "width": 40}
    rows = [coco_box(1, category=1, bbox=(4, 5, 10, 8), area=80), coco_box(2, category=2, bbox=(0, 0, 8, 9), area=72)]
    write_coco(tmp_path / "coco/train.json", [image], rows, categories, tmp_path / "coco")
    voc, coco = open_voc(tmp_path / "voc")["train"], open_coco(tmp_path / "coco")["train"]
    assert corners(voc) == corners(coco) and voc.annotation_digest() == coco.annotation_digest()


def test_boxes_are_those_that_supervision_reads(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        supervision = pytest.importorskip("supervision", reason="the supervision extra is not installed")
    rng = np.random.default_rng(0)
    for n in range(4):
        start = rng.integers(1, 12, (n, 2))
        rows = np.concatenate([start, start + rng.integers(1, 15, (n, 2))], axis=1).tolist()
        beside(tmp_path, *(thing("ab"[i % 2], row) for i, row in enumerate(rows)), name=str(n), seed=n)
    reference = supervision.DetectionDataset.from_pascal_voc(str(tmp_path), str(tmp_path))
    split = open_voc(tmp_path, one_based=True)["all"]
    for index, (path, _, found) in enumerate(reference):
        assert Path(path).name == split.key(index) and corners(split, index) == found.xyxy.tolist()
        names = [split.classes[label] for label in split.truth(index, "detect").labels]
        assert names == [reference.classes[label] for label in found.class_id]


def test_what_is_no_voc_is_not_recognised(tmp_path):
    assert not voc_layout(tmp_path) and not voc_layout(tmp_path / "none")
    picture(tmp_path / "train/images/1.jpg")
    text(tmp_path / "train/labels/1.txt", "0 0.5 0.5 1 1")
    assert not voc_layout(tmp_path)
    text(tmp_path / "train/images/1.xml", "<html/>")
    assert not voc_layout(tmp_path)
    (tmp_path / "davis/JPEGImages/bear").mkdir(parents=True)
    palette_mask(tmp_path / "davis/Annotations/bear/0.png", np.zeros(SIZE))
    assert not voc_layout(tmp_path / "davis")


@pytest.mark.skipif(not (SHARED / "data/bccd").is_dir(), reason="no shared/data/bccd beside the repository")
def test_real_boxes_written_by_hand_are_those_of_coco(tmp_path):
    coco = open_coco(SHARED / "data/bccd")["val"]
    for index in range(len(coco)):
        truth, stem = coco.truth(index, "detect"), coco.key(index).rpartition("/")[2].rpartition(".")[0]
        rows = zip(truth.labels, truth.boxes.tolist(), strict=True)
        objects = [thing(coco.classes[label], (x1 + 1, y1 + 1, x2, y2)) for label, (x1, y1, x2, y2) in rows]
        text(tmp_path / f"Annotations/{stem}.xml", annotation(*objects, size=coco.size(index)))
        (tmp_path / "JPEGImages").mkdir(exist_ok=True)
        (tmp_path / f"JPEGImages/{coco.path(index).name}").symlink_to(coco.path(index))
    text(tmp_path / "classes.txt", "\n".join(coco.classes))
    voc = open_voc(tmp_path)["all"]
    order = np.argsort([coco.path(index).name for index in range(len(coco))])
    for index, other in enumerate(order):
        for name, values in vars(voc.truth(index, "detect")).items():
            assert np.array_equal(values, getattr(coco.truth(other, "detect"), name)), name
