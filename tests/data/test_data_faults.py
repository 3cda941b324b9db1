"""Annotations that cannot be right: each is told in words, and refused where it makes a result wrong."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from argus_core.data.check import DataRefused, check_split, findings, refuse_faults
from argus_core.errors import ArgusError, Fault
from argus_core.plugins.data_spec import open_data
from argus_core.plugins.hooks import load_plugins
from coco_folders import box, flat, image, write
from mask_folders import folders, save_image, save_mask

PLUGINS = load_plugins()
SIZE = (12, 16)


def told(split, **how) -> tuple[str, list[str]]:
    """Why a split is refused, empty if it is not, and what it is warned of."""
    warnings: list[str] = []
    sizes = {n: split.read(n).shape[:2] for n in range(len(split))}
    try:
        refuse_faults(split, split.tasks, sizes, warnings.append, **how)
    except DataRefused as refused:
        return str(refused), warnings
    return "", warnings


def boxes(*places, **more):
    """An annotation per place x, y, width, height, in two classes, in the images 1 and 2 in turn."""
    return [box(n + 1, n % 2 + 1, (1, 18)[n // 2 % 2], place, **more) for n, place in enumerate(places)]


PLACES = [(1, 2, 8, 8), (20, 15, 19, 12), (10, 18, 12, 9), (25, 3, 12, 14), (5, 5, 30, 20), (3, 16, 9, 9)]


def test_what_is_right_is_not_told(tmp_path):
    categories = [{"id": 1, "name": "cat"}, {"id": 18, "name": "dog"}]
    assert told(flat(tmp_path, boxes(*PLACES), categories=categories)) == ("", [])


@pytest.mark.parametrize("place", [lambda n: f"{n}", lambda n: f"00{n}", float])
def test_ids_of_another_type_are_matched_as_numbers(tmp_path, place):
    annotations = boxes(*PLACES)
    for one in annotations:
        one["image_id"] = place(one["image_id"])
    split = flat(tmp_path, annotations)
    assert [len(split.truth(n, "detect").labels) for n in (0, 1)] == [3, 3]
    refused, warnings = told(split)
    assert not refused and ("image_id of 6 annotations is of another type" in str(warnings)) == (place is not float)


def test_ids_alike_but_for_zeros_stay_apart(tmp_path):
    images = [image("1", file_name="1.png"), image("01", file_name="2.png")]
    write(tmp_path / "train.json", images, [box(1, "01"), box(2, 1)])
    split = open_data(f"coco:{tmp_path}", PLUGINS)["train"]
    assert [len(split.truth(n, "detect").labels) for n in (0, 1)] == [0, 1]
    assert "its image id 1 is unknown" in str(split.faults()[0])


def renamed(**values):
    """``boxes`` with other values, which may depend on what was there."""

    def edit():
        made = boxes(*PLACES)
        for one in made:
            one |= {key: value(one) if callable(value) else value for key, value in values.items()}
        return made

    return edit


def corners(one):
    x, y, width, height = one["bbox"]
    return [x, y, x + width, y + height]


def share(one):
    x, y, width, height = one["bbox"]
    return [x / 40, y / 30, width / 40, height / 30]


@pytest.mark.parametrize(
    "made, words",
    [
        (renamed(image_id=lambda one: f"fire-{one['image_id']}"), "annotations of unknown images: 6 of 6"),
        (renamed(category_id=lambda one: one["category_id"] - 1), "annotations of unknown categories: 6 of 6"),
        (renamed(bbox=lambda one: [str(v) for v in one["bbox"]]), "box is not four numbers: 6 of 6"),
        (renamed(bbox=[float("nan")] * 4), "box is not finite: 6 of 6"),
        (renamed(bbox=lambda one: [*one["bbox"][:2], 0, 0]), "boxes without area: 6 of 6"),
        (renamed(bbox=[50, 1, 5, 5]), "boxes outside their image: 6 of 6"),
        (renamed(bbox=share), "6 of 6 boxes lie within 0..1: they are shares"),
        (renamed(bbox=corners), "boxes leave their image, and none would as x1, y1, x2, y2"),
        (renamed(iscrowd=1), "all 6 boxes are crowd regions"),
        (renamed(iscrowd="true"), "all 6 boxes are crowd regions"),
        (lambda: [], "no image has a box: there is nothing to learn or to score"),
        (lambda: [{**one, "id": n} for n, one in enumerate(2 * boxes(*PLACES))], "6 of 12 boxes repeat another box"),
        (lambda: boxes(*PLACES, (3, 3, 0.5, 9)), "1 of 7 boxes are less than a pixel wide or high"),
    ],
)
def test_annotations_that_make_a_result_wrong_are_refused(tmp_path, made, words):
    split = flat(tmp_path, made())
    refused, warnings = told(split)
    assert words in refused and "--accept-faults" in refused and not warnings
    _, warnings = told(split, accept=True)
    assert sum(words in one and "(accepted with --accept-faults)" in one for one in warnings) == 1


def test_a_few_of_many_are_warned_of(tmp_path):
    places = [(n, 20 - n // 2, 15, 9) for n in range(20)]
    split = flat(tmp_path, [*boxes(*places), box(99, 7), box(98, bbox=[30, 20, 20, 20])])
    refused, warnings = told(split)
    assert not refused
    assert warnings == [
        "train, train.json, annotation 99: its image id 7 is unknown (left out)",
        "train, train.json, annotation 98: its box from [30.0, 20.0] to [50.0, 40.0] leaves 1.png",
        "train, detect: 1 of 3 classes are never seen: brush",
    ]


@pytest.mark.parametrize("flag, crowd", [("0", False), ("1", True), ("False", False), (0, False), (True, True)])
def test_truth_values_and_numbers_as_text(tmp_path, flag, crowd):
    first = {**box(50), "iscrowd": flag, "area": "12.5", "category_id": "18"}
    write(tmp_path / "train.json", [image(1, width="40", height=30.0), image(2)], [first, *boxes(*PLACES[1:])])
    split = open_data(f"coco:{tmp_path}", PLUGINS)["train"]
    truth = split.truth(0, "detect")
    assert truth.crowd[0] == crowd and truth.area[0] == 12.5 and truth.labels[0] == 1 and split.size(0) == (30, 40)
    assert [str(fault).partition(" of ")[0] for fault in split.faults()] == [
        f"train.json: {field}" for field in ("category_id", "area", *(["iscrowd"] if isinstance(flag, str) else []))
    ]


def test_boxes_of_a_smaller_copy_are_doubtful(tmp_path):
    places = [(n / 2, n / 3, 5, 4) for n in range(24)]
    refused, warnings = told(flat(tmp_path, boxes(*places)))
    assert not refused and "no box reaches beyond 41% of its image's width and 39% of its height" in warnings[0]


def test_an_image_of_another_size_or_turned_is_told(tmp_path):
    split = flat(tmp_path, boxes(*PLACES))
    turned = Image.Exif()
    turned[0x0112] = 6
    with Image.open(tmp_path / "1.png") as kept:
        kept.save(tmp_path / "1.png", exif=turned)
    refused, _ = told(split)
    assert "images that are turned" not in refused  # one of them is said as it is
    assert "annotations say 30x40 (height x width), the image has 40x30; annotate the upright image" in refused


def test_class_names_alike_but_for_case(tmp_path):
    names = [{"id": 1, "name": "Cat"}, {"id": 18, "name": " cat"}]
    _, warnings = told(flat(tmp_path, boxes(*PLACES), categories=names))
    assert warnings == ["train, detect: classes 'Cat' and ' cat' differ in case or spaces alone; are they one?"]


def masked(root, values, names=("wall", "floor"), **spec):
    """Three images whose masks hold ``values`` in equal bands."""
    bands = np.repeat(values, SIZE[0] // len(values))[:, None].repeat(SIZE[1], axis=1)
    for n in range(3):
        save_image(root / "images" / "train" / f"{n}.png", n)
        save_mask(root / "masks" / "train" / f"{n}.png", bands.astype(np.uint16 if max(values) > 255 else np.uint8))
    (root / "classes.json").write_text(json.dumps(names))
    options = "".join(f",{key}={value}" for key, value in spec.items())
    return open_data(f"images:{root},masks=masks,classes=classes.json{options}", PLUGINS)["train"]


@pytest.mark.parametrize(
    "values, words",
    [
        (
            (0, 255),
            "all labelled pixels are 'wall' (floor never seen): there is nothing to tell apart; 50.0% of the pixels",
        ),
        ((0, 255), 'are 255, which is ignored: if it marks the objects, write {"0": 0, "255": 1} into remap.json'),
        ((0, 128), 'label 128 (96 pixels) is neither in 0..1 nor 255; if 128 marks the objects, write {"0": 0, "128"'),
        ((0, 65535), 'if 65535 marks the objects, write {"0": 0, "65535": 1} into remap.json'),
        ((1, 2), "label 2 (96 pixels) is neither in 0..1 nor 255; if classes are counted from 1, write [255, 0, 1"),
        ((0, 38, 75, 113, 150, 200), "grey levels are not class indices: was the mask resized, or saved as JPEG?"),
        ((255,), "no pixel is labelled"),
    ],
)
def test_masks_whose_values_are_no_classes_are_refused(tmp_path, values, words):
    assert words in told(masked(tmp_path, values))[0]


def test_the_advice_on_binary_masks_works(tmp_path):
    (tmp_path / "remap.json").write_text('{"0": 0, "255": 1}')
    split = masked(tmp_path, (0, 255), remap="remap.json")
    assert told(split) == ("", []) and np.unique(split.truth(0, "segment")).tolist() == [0, 1]
    (tmp_path / "remap.json").write_text('{"remap": {"0": 0, "7": 1}}')
    assert "255" not in told(masked(tmp_path, (0, 7, 255), remap="remap.json"))[0]
    assert "labels [3] are beyond remap, which names [0, 7]" in told(masked(tmp_path, (0, 3), remap="remap.json"))[0]
    (tmp_path / "remap.json").write_text('{"zero": 0}')
    with pytest.raises(ArgusError, match="remap should map indices to classes"):
        masked(tmp_path, (0, 1), remap="remap.json")


def test_a_class_never_seen_is_a_remark(tmp_path):
    split = masked(tmp_path, (0, 1, 255), names=["wall", "floor", "bed"])
    assert told(split) == ("", ["train, segment: 1 of 3 classes are never seen: bed"])
    report = check_split(split)
    assert not report.faults and report.remarks == ["train, segment: 1 of 3 classes are never seen: bed"]


def test_two_images_of_one_mask_and_lossy_masks(tmp_path):
    root = folders(tmp_path, splits=("train",))
    save_image(root / "images" / "train" / "a.png", 7)
    split = open_data(f"images:{root},masks=masks,classes=classes.json", PLUGINS)["train"]
    assert "it shares its mask with a.jpg" in told(split)[0]
    (root / "images/train/a.png").unlink()
    (root / "masks/train/a.png").rename(root / "masks/train/a.jpg")
    split = open_data(f"images:{root},masks=masks,classes=classes.json", PLUGINS)["train"]
    assert "1 of 3 masks are JPEG, which changes indices" in told(split)[1][0]


def ranged(root, metres, step=0.001, **spec):
    """Two images whose depth is one number of metres, stored in whole steps."""
    for n in range(2):
        save_image(root / "images" / "train" / f"{n}.png", n)
        (root / "depth" / "train").mkdir(parents=True, exist_ok=True)
        values = np.full(SIZE, round(metres / step), np.uint16)
        Image.fromarray(values).save(root / "depth" / "train" / f"{n}.png")
    options = "".join(f",{key}={value}" for key, value in spec.items())
    return open_data(f"images:{root},depth=depth{options}", PLUGINS)["train"]


@pytest.mark.parametrize(
    "metres, step, spec, words",
    [
        (3.0, 0.001, {}, ""),
        (3.0, 1.0, {}, "the median depth is 0.003 m, of a range up to 10 m: is it in another unit?"),
        (20.0, 1 / 256, {"high": 80, "scale": 1}, "are they millimetres?"),
        (20.0, 1 / 256, {"high": 80, "scale": "1/256"}, ""),
        (20.0, 1 / 256, {"high": 80, "scale": 0.00390625}, ""),
        (20.0, 0.001, {}, "no known depth lies between 0.001 and 10 m: they are 20 to 20 m"),
        (0.0, 0.001, {}, "no pixel has a known depth"),
        (0.02, 0.001, {"low": 0.005, "high": 0.1}, ""),
    ],
)
def test_depth_in_another_unit_or_beyond_the_range_is_refused(tmp_path, metres, step, spec, words):
    refused, warnings = told(ranged(tmp_path, metres, step, **spec))
    assert words in refused and bool(refused) == bool(words) and not warnings


def test_depths_mostly_beyond_the_range(tmp_path):
    split = ranged(tmp_path, 9.0)
    for n, far in enumerate((9, 4)):
        values = np.full(SIZE, 5000, np.uint16)
        values[:far] = 30000
        Image.fromarray(values).save(tmp_path / "depth" / "train" / f"{n}.png")
    assert "54.2% of the known depths are not between 0.001 and 10 m" in told(split)[0]


def test_scales_that_are_none(tmp_path):
    for spec, words in (
        ({"scale": "far"}, "scale=far is no number"),
        ({"scale": "1/0"}, "scale=1/0 is no number"),
        ({"scale": -1}, "a depth scale of -1.0"),
        ({"scale": 2, "unit": "m"}, "both say"),
        ({"low": 3, "high": 2}, "give 0 < low < high"),
    ):
        with pytest.raises(ArgusError, match=words):
            assert ranged(tmp_path, 3.0, **spec).tasks


def test_floats_take_a_scale_that_is_given(tmp_path):
    ranged(tmp_path, 3.0)
    for n in range(2):
        (tmp_path / "depth" / "train" / f"{n}.png").unlink()
        np.save(tmp_path / "depth" / "train" / f"{n}.npy", np.full(SIZE, 300.0))
    split = open_data(f"images:{tmp_path},depth=depth,scale=0.01", PLUGINS)["train"]
    assert split.truth(0, "depth")[0, 0] == 3.0 and told(split) == ("", [])
    plain = open_data(f"images:{tmp_path},depth=depth", PLUGINS)["train"]
    assert "no known depth lies between" in told(plain)[0] and plain.annotation_digest() != split.annotation_digest()


def test_one_class_alone_is_refused_where_something_is_learned(tmp_path):
    for n in range(3):
        save_image(tmp_path / "train" / "cat" / f"{n}.png", n)
    split = open_data(f"folder:{tmp_path}", PLUGINS)["train"]
    assert "all images show 'cat': there is nothing to tell apart" in told(split)[0]
    assert told(split, learning=False) == ("", [])


def paired(root, **changes):
    pair = {"src": "a", "trg": "b", "split": "test", "src_points": [[3, 4]], "trg_points": [[5, 6.5]]}
    images = {name: {"file": f"{name}.png", "width": 16, "height": 12, "bbox": [0, 0, 16, 12]} for name in "ab"}
    content = {"images": images, "pairs": [pair | changes]}
    for n, name in enumerate("ab"):
        save_image(root / f"{name}.png", n)
    return content


@pytest.mark.parametrize(
    "changes, again, words",
    [
        ({}, 0, ""),
        ({"src_points": [[0.3, 0.4]], "trg_points": [[0.5, 0.6]]}, 0, "all 1 points lie within 0..1"),
        ({"src_points": [], "trg_points": []}, 0, "none of 0 pairs has a point"),
        ({}, 1, "1 of 2 pairs repeat the points of another one"),
        ({"trg": "a"}, 0, "1 of 1 pairs are of an image with itself"),
    ],
)
def test_pairs_that_cannot_be_meant_are_refused(tmp_path, changes, again, words):
    content = paired(tmp_path, **changes)
    content["pairs"] += again * content["pairs"]
    (tmp_path / "pairs.json").write_text(json.dumps(content))
    refused, _ = told(open_data(f"pairs:{tmp_path}", PLUGINS)["test"], learning=False)
    assert words in refused and bool(refused) == bool(words)


def test_maps_are_looked_at_in_part_and_wholly_before_they_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("argus_core.data.check.SAMPLED_MAPS", 2)
    read: list[int] = []
    for last, looked in ((1, [0, 2]), (9, [0, 2, 0, 1, 2])):
        split = masked(tmp_path, (0, 1))
        save_mask(tmp_path / "masks" / "train" / "2.png", last)
        truth = split.truth
        monkeypatch.setattr(split, "truth", lambda n, task, truth=truth: read.append(n) or truth(n, task))
        assert ("train, segment of 2.png: label 9" in told(split)[0]) == (last == 9)
        assert read == looked
        read.clear()


def test_findings_of_one_kind_are_one_sentence(tmp_path):
    split = flat(tmp_path, [*boxes(*PLACES), *(box(90 + n, 7) for n in range(3))])
    (one,) = findings("train", split.faults())
    assert one.wrong and one.text == (
        "train: annotations of unknown images: 3 of 9, such as "
        "train.json, annotation 90: its image id 7 is unknown (left out)"
    )


def test_many_faults_without_a_kind_are_counted():
    faults = [Fault(f"line {n}", "it is odd", n == 2) for n in range(6)]
    assert [one.text for one in findings("val", faults[:2])] == ["val, line 0: it is odd", "val, line 1: it is odd"]
    (one,) = findings("val", faults)
    assert one.text == "val: faults of several kinds: 6, such as line 0: it is odd" and not one.wrong


def test_large_objects_that_leave_their_image_are_no_corners(tmp_path):
    places = [(n % 4, n % 3, 36 + n % 3 * 2, 27) for n in range(9)]
    refused, warnings = told(flat(tmp_path, boxes(*places)))
    assert not refused and "boxes that leave their image: 3" in warnings[0]
