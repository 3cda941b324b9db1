"""What answers say of themselves: in a line, as plain data, as masks for others, and as one picture."""

from __future__ import annotations

import io
import json
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as coco_mask

from argus_core import Argus, ArgusError, Canvas, Result, load_backbone
from argus_core.draw import draw_boxes, draw_classes, draw_depth, draw_mask
from argus_core.model import Perception
from argus_core.saving.build import task_from_dict, task_to_dict
from argus_core.tasks import PlainResult
from argus_core.tasks.classify import Classes, ClassResult
from argus_core.tasks.correspond import Found, MatchResult
from argus_core.tasks.depth import DepthMap, DepthResult
from argus_core.tasks.detect import Detect, DetectionResult, Detections
from argus_core.tasks.segment import SegmentResult, decode_labels, decode_mask, encode_labels, encode_mask
from bundle_help import make_argus

SIZE = (480, 640)
NAMES = ("cat", "dog", "traffic light")
SIZES = [SIZE, (32, 32), (1, 1), (700, 90), (60, 900), (1, 3000), (3000, 2)]


def photo(size=SIZE):
    return np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)


def classes(size=SIZE, top_k=5):
    return ClassResult(photo(size), Classes(torch.tensor([0.2, 0.7, 0.1])), NAMES, top_k)


def blobs(size):
    """Labels of large areas as a network gives them, some of them nothing."""
    small = np.random.default_rng(1).integers(0, 4, (7, 9)).astype(np.uint8)
    labels = np.asarray(Image.fromarray(small * 60).resize((size[1], size[0]), Image.Resampling.BICUBIC))
    return np.array([0, 1, 2, 255])[np.clip(np.rint(labels / 60), 0, 3).astype(int)]


def masks(size=SIZE):
    return SegmentResult(photo(size), blobs(size), np.full(size, 0.5, np.float32), NAMES)


def depth(size=SIZE):
    metres = np.linspace(0.7, 9.4, size[0] * size[1], dtype=np.float32).reshape(size)
    return DepthResult(photo(size), metres, metres / 10)


def boxes(size=SIZE, labels=(1, 1, 0)):
    h, w = size
    rows = torch.tensor([[0, 0, w / 4, h / 2], [w / 2, 0, w, h / 3], [w / 2, h / 2, w, h]])[: len(labels)]
    found = Detections(rows, torch.tensor([0.91, 0.5, 0.4])[: len(labels)], torch.tensor(labels, dtype=torch.long))
    return DetectionResult(photo(size), found, NAMES)


def matches(mutual=None):
    points = np.array([[1.0, 2.0], [3.0, 4.0], [30.0, 40.0]])
    there = np.array([[5.0, 6.0], [np.nan, np.nan], [9.0, 9.0]])
    return MatchResult(photo((50, 60)), photo((40, 30)), points, Found(there, np.array([0.9, np.nan, 0.4]), mutual))


def everything(size=SIZE):
    heads = {"kinds": classes(size), "masks": masks(size), "metres": depth(size), "boxes": boxes(size)}
    return Perception(heads, {"depth": "metres"}, {"backbone": 90.0, "boxes": 10.2})


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (boxes(), "DetectionResult(3 objects: 2 dog, 1 cat; best 0.91; 480x640 px)"),
        (boxes(labels=(2,)), "DetectionResult(1 object: 1 traffic light; best 0.91; 480x640 px)"),
        (boxes(labels=()), "DetectionResult(no objects; 480x640 px)"),
        (depth(), "DepthResult(480x640 px, 0.7 to 9.4 m, median 5.0)"),
        (DepthResult(photo((4, 5)), np.zeros((4, 5)), np.zeros((4, 5))), "DepthResult(4x5 px, unknown)"),
        (classes(), "ClassResult(dog 0.70, cat 0.20, traffic light 0.10; of 3 classes; 480x640 px)"),
        (
            SegmentResult(photo((2, 4)), np.array([[0, 0, 0, 0], [2, 2, 255, 255]]), np.zeros((2, 4)), NAMES),
            "SegmentResult(2 of 3 classes: cat 50 %, traffic light 25 %; 2x4 px)",
        ),
        (matches(), "MatchResult(2 of 3 points matched; cosine 0.40 to 0.90; 50x60 px to 40x30 px)"),
        (
            matches(np.array([True, False, False])),
            "MatchResult(2 of 3 points matched, 1 mutual; cosine 0.40 to 0.90; 50x60 px to 40x30 px)",
        ),
        (
            PlainResult(photo((4, 5)), DepthMap(np.zeros((4, 5)), torch.zeros(2))),
            "PlainResult(DepthMap: depth (4, 5), uncertainty (2); 4x5 px)",
        ),
        (PlainResult(photo((4, 5)), [1, 2]), "PlainResult(list of 2; 4x5 px)"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_results_say_in_a_line_what_they_hold(result, said):
    assert repr(result) == said


def test_a_perception_has_a_line_for_every_answer():
    lines = repr(everything()).splitlines()
    assert lines[0] == "Perception(480x640 px; 100 ms" and len(lines) == 6
    assert lines[4] == "  boxes: 3 objects: 2 dog, 1 cat; best 0.91"
    assert lines[5] == "  flags: 1 detection without a mask of the same class)"
    assert repr(Perception({"boxes": boxes()}, {}, {})).startswith("Perception(480x640 px\n")


def test_an_argus_says_in_a_line_a_head_what_it_holds(tmp_path):
    argus = make_argus(load_backbone("tiny"), tmp_path, ("softmax", "boxes", "match"))
    lines = repr(argus).splitlines()
    count = sum(p.numel() for p in argus.backbone.parameters())
    assert lines[0] == f"Argus(backbone tiny, {count:,} parameters, stride 16; 3 heads, one canvas 96x96 letterbox"
    assert lines[1].split() == ["softmax", "classify.linear", "3", "classes", *lines[1].split()[4:]]
    assert lines[2].endswith("96x96 letterbox") and "2 classes" in lines[2]
    assert len(lines) == 4 and max(map(len, lines)) < 110 and str(argus) == repr(argus)
    together = Argus(argus.backbone, {"boxes": argus.head("boxes")}, Canvas(64, 96, "stretch"))
    assert "one canvas 64x96 stretch" in repr(together) and "letterbox" not in repr(together)
    assert repr(Argus(argus.backbone)).endswith("stride 16; no heads)")


@pytest.mark.parametrize("size", [(1, 1), (37, 53), (480, 640)])
def test_masks_go_through_coco_texts_and_back(size):
    mask = blobs(size) == 1
    for each in (mask, ~mask, mask & False, mask | True):
        told = json.loads(json.dumps(encode_mask(each)))
        assert set(told) == {"size", "counts"} and told["size"] == list(size)
        assert np.array_equal(decode_mask(told), each)
        theirs = {"size": told["size"], "counts": told["counts"].encode()}
        assert coco_mask.encode(np.asfortranarray(each, dtype=np.uint8)) == theirs
        assert coco_mask.area(theirs) == each.sum()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # its decode is older than numpy 2
            assert np.array_equal(coco_mask.decode(theirs).astype(bool), each)


def test_masks_of_several_labels_are_those_of_each():
    labels = blobs((37, 53))
    assert encode_labels(labels, [2, 0, 255, 7]) == [encode_mask(labels == label) for label in (2, 0, 255, 7)]


@settings(deadline=None)
@given(st.lists(st.integers(0, 5000), min_size=1, max_size=30), st.booleans())
def test_runs_of_every_length_are_those_of_coco(runs, first):
    flat = np.repeat((np.arange(len(runs)) + first) % 2 == 1, runs)
    mask = flat[:, None] if len(flat) else np.zeros((1, 1), dtype=bool)
    told = encode_mask(mask)
    assert coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))["counts"].decode() == told["counts"]
    assert np.array_equal(decode_mask(told), mask) and np.array_equal(
        decode_mask({**told, "counts": told["counts"].encode()}), mask
    )


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({}, "encoded mask"),
        ({"size": [3], "counts": "a"}, "encoded mask"),
        ({"size": [3, 4], "counts": [12]}, "encoded mask"),
        ({"size": [3, 4], "counts": "5"}, "damaged"),
        ({"size": [3, 4], "counts": "O<"}, "damaged"),
    ],
)
def test_what_is_no_encoded_mask_is_refused(wrong, match):
    with pytest.raises(ArgusError, match=match):
        decode_mask(wrong)


@pytest.mark.parametrize("size", [(1, 1), (37, 53), SIZE])
def test_labels_come_back_from_plain_data(size):
    result = masks(size)
    told = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert np.array_equal(decode_labels(told), result.labels)
    assert np.array_equal(decode_labels(told, -1), np.where(result.labels == 255, -1, result.labels))
    shares = [one["share"] for one in told["masks"]]
    assert shares == sorted(shares, reverse=True)
    for one in told["masks"]:
        assert one["class_name"] == NAMES[one["class_id"]]
        assert one["share"] == pytest.approx((result.labels == one["class_id"]).mean(), abs=1e-6)


def test_plain_data_of_a_photograph_is_small_and_valid_json():
    told = everything().to_dict()
    assert len(json.dumps(told, allow_nan=False)) < 20_000
    assert told["metres"] == {"size": [480, 640], "unit": "m", "min": 0.7, "max": 9.4, "median": 5.05, "known": 1.0}
    odd = depth()
    odd.metres[:240] = [[np.nan, np.inf] * 320]
    assert json.dumps(odd.to_dict(), allow_nan=False) and odd.to_dict("a.png")["file"] == "a.png"
    assert odd.to_dict()["known"] == 0.5
    unknown = DepthResult(photo((4, 5)), np.zeros((4, 5)), np.zeros((4, 5))).to_dict()
    assert unknown["min"] is unknown["max"] is unknown["median"] is None and unknown["known"] == 0
    assert PlainResult(photo((4, 5)), torch.tensor([1.0, np.nan])).to_dict() == {"prediction": [1.0, None]}


def test_names_mean_one_thing_everywhere():
    (best, *_), (kind, *_) = boxes().entries, classes().entries
    assert list(best) == ["class_id", "class_name", "score", "box"]
    assert list(kind) == ["class_id", "class_name", "score", "margin"]
    assert set(masks().to_dict()["masks"][0]) == {"class_id", "class_name", "share", "segmentation"}
    row = boxes().to_coco("a", file_name="photos/a.jpg")[1]
    assert row == {
        "image_id": "a",
        "file_name": "photos/a.jpg",
        "category_id": 2,
        "category_name": "dog",
        "bbox": [320.0, 0.0, 320.0, 160.0],
        "score": 0.5,
    }
    assert boxes().to_coco(7, first_category=0)[0]["category_id"] == 1 and "file_name" not in boxes().to_coco(7)[0]


def test_mutual_matches_are_told_if_they_were_asked_for():
    assert all("mutual" not in one for one in matches().to_dict()["matches"])
    told = matches(np.array([True, False, False])).to_dict()["matches"]
    assert [one["mutual"] for one in told] == [True, False, False]
    assert [one["match"] for one in told] == [[5.0, 6.0], None, [9.0, 9.0]]
    json.dumps(told, allow_nan=False)
    plain, faint, strong = (
        matches(mutual).draw() for mutual in (None, np.zeros(3, dtype=bool), np.ones(3, dtype=bool))
    )
    assert faint.shape == strong.shape and faint.shape[0] > plain.shape[0]
    assert (faint[:400] != plain[:400]).any() and np.array_equal(strong[:400], plain[:400])


def test_masks_convert_for_supervision():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it notes at import that OpenCV is missing
        pytest.importorskip("supervision")
    labels = np.full((6, 8), 255)
    labels[1:3, 2:6], labels[5, 7] = 2, 0
    made = SegmentResult(photo((6, 8)), labels, np.where(labels == 2, 0.75, 0.25).astype(np.float32), NAMES)
    made = made.to_supervision()
    assert made.class_id.tolist() == [2, 0] and made["class_name"].tolist() == ["traffic light", "cat"]
    assert made.xyxy.tolist() == [[2, 1, 6, 3], [7, 5, 8, 6]] and made.confidence.tolist() == [0.75, 0.25]
    assert np.array_equal(made.mask, np.stack([labels == 2, labels == 0])) and made.area.tolist() == [8, 1]
    nothing = SegmentResult(photo((6, 8)), np.full((6, 8), 255), np.zeros((6, 8), np.float32), NAMES)
    assert len(nothing.to_supervision()) == 0


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_everything_is_one_picture_of_images_of_every_shape(size):
    found = everything(size)
    before = {name: result.image.copy() for name, result in found.results.items()}
    picture = found.draw()
    assert picture.dtype == np.uint8 and picture.shape[2] == 3
    assert all(np.array_equal(found.results[name].image, image) for name, image in before.items())
    assert max(picture.shape) < 5000 and min(picture.shape[:2]) > 100
    assert (picture[:5] == 255).all() and (picture[-5:] == 255).all() and (picture[:, -5:] == 255).all()


class Silent(Result):
    """A stranger's result that only knows how to draw."""

    def to_dict(self):
        return {}

    def draw(self):
        return np.full((2000, 30, 3), (1, 200, 3), np.uint8)


def test_a_picture_of_everything_holds_each_answer_once():
    heads = everything().results
    alone = {name: Perception({name: result}, {}, {}).draw() for name, result in heads.items()}
    assert alone["kinds"].shape[1] < 800  # classes stand below the image
    assert all(alone[name].shape[1] > 1200 for name in ("masks", "metres", "boxes"))
    whole = Perception(heads, {}, {}).draw()
    assert whole.shape[0] > 1.5 * alone["kinds"].shape[0]
    twice = Perception({**heads, "again": heads["kinds"], "more": heads["boxes"]}, {}, {}).draw()
    assert twice.shape[0] * twice.shape[1] > whole.shape[0] * whole.shape[1]
    silent = Perception({"own": Silent(photo())}, {}, {}).draw()
    assert (silent == (1, 200, 3)).all(axis=2).any()
    plain = Perception({"own": PlainResult(photo(), {"a": 1})}, {}, {}).draw()
    assert plain.shape[1] < 800


def test_a_perception_is_shown_and_written(tmp_path):
    found = everything((40, 50))
    with Image.open(io.BytesIO(found._repr_png_())) as shown:
        assert shown.size == found.plot().size
    found.save_picture(tmp_path / "new" / "seen.png")
    with Image.open(tmp_path / "new" / "seen.png") as written:
        assert written.format == "PNG" and np.array_equal(np.asarray(written), found.draw())


def test_the_tiles_show_what_the_pictures_show():
    size = (480, 640)
    for result, drawn in (
        (classes(), draw_classes(photo(), classes().rows)),
        (masks(), draw_mask(photo(), masks().labels, NAMES, below=True)),
        (depth(), draw_depth(depth().metres, below=True)),
        (boxes(), draw_boxes(photo(), boxes().detections, NAMES)),
    ):
        assert np.array_equal(result.tile(size), drawn)
        half = result.tile((240, 320))
        assert half.shape[0] < drawn.shape[0] * 2 and half.dtype == np.uint8


def test_coco_files_carry_the_data_sets_own_ids_unrounded():
    boxes, scores = torch.tensor([[1.0001, 2, 30, 40.123456]]), torch.tensor([0.123456789])
    image = np.zeros((50, 50, 3), dtype=np.uint8)
    task = Detect(classes=("cat", "dog"), categories=(3, 7))
    found = task.result(Detections(boxes, scores, torch.tensor([1])), image, score_thresh=0)
    (entry,) = found.to_coco(5)
    assert entry["category_id"] == 7 and entry["image_id"] == 5 and entry["score"] == scores.item()
    assert entry["bbox"] == [*boxes[0, :2].tolist(), *(boxes[0, 2:].double() - boxes[0, :2].double()).tolist()]
    assert found.to_coco(5, first_category=0)[0]["category_id"] == 1
    assert Detect(classes=("cat", "dog")) == task and hash(Detect(classes=("cat", "dog"))) == hash(task)
    assert task_from_dict(task_to_dict(task)).categories == (3, 7)
    for wrong in ((3,), (3, 3), (1, 2, 3)):
        with pytest.raises(ArgusError, match="one distinct category id per class"):
            Detect(classes=("cat", "dog"), categories=wrong)
