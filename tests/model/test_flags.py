"""Detections that a mask of the same image contradicts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from argus_core.draw.panel import resized_map
from argus_core.formats import ResultFiles
from argus_core.formats.writer import Record
from argus_core.model import Perception
from argus_core.model.flags import find_flags
from argus_core.serve.schema import Flag
from argus_core.tasks import Result
from argus_core.tasks.detect import DetectionResult, Detections
from argus_core.tasks.segment import SegmentResult

HEIGHT, WIDTH = 40, 60
IMAGE = np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8)
MASKS = ("background", "Cat", "traffic_light")
BOXES = ("traffic light", "cat", "dog")


def objects(*rows: tuple[tuple[float, float, float, float], str]) -> DetectionResult:
    boxes = np.array([box for box, _ in rows], dtype=np.float32).reshape(-1, 4)
    labels = np.array([BOXES.index(name) for _, name in rows], dtype=np.int64)
    return DetectionResult(IMAGE, Detections(boxes, np.full(len(rows), 0.9, dtype=np.float32), labels), BOXES)


def masks(label: int = 0, left: int = 0, right: int = WIDTH) -> SegmentResult:
    """Background, but one class between two columns."""
    plane = np.zeros((HEIGHT, WIDTH), dtype=np.int64)
    plane[:, left:right] = label
    return SegmentResult(IMAGE, plane, np.ones((HEIGHT, WIDTH), dtype=np.float32), MASKS)


CAT = masks(1, 10, 30)


def test_a_box_without_a_mask_of_its_class_is_flagged_and_one_with_a_mask_is_not() -> None:
    results: dict[str, Result] = {
        "pets": objects(((10, 10, 30, 30), "cat"), ((10, 10, 30, 30), "traffic light"), ((40, 0, 60, 20), "cat")),
        "masks": CAT,
    }
    flags = find_flags(results)
    assert [(flag.head, flag.detection, flag.masks, flag.support, flag.seen) for flag in flags] == [
        ("pets", 1, "masks", 0.0, "Cat"),
        ("pets", 2, "masks", 0.0, "background"),
    ]


def test_classes_that_have_no_masks_are_never_flagged() -> None:
    assert not find_flags({"pets": objects(((0, 0, 9, 9), "dog")), "masks": CAT})


def test_nothing_is_flagged_without_masks_or_without_boxes() -> None:
    boxes = objects(((0, 0, 9, 9), "cat"))
    assert not find_flags({"pets": boxes})
    assert not find_flags({"masks": CAT})
    assert not find_flags({"pets": objects(), "masks": masks()})
    assert len(find_flags({"pets": boxes, "masks": masks(), "other": masks()})) == 2  # each head of masks may doubt


@pytest.mark.parametrize("scale", [(2, 2), (0.5, 0.25)])
def test_masks_of_another_size_than_the_image_flag_the_same(scale: tuple[float, float]) -> None:
    boxes = objects(((12, 8, 32, 32), "cat"), ((12, 8, 32, 32), "traffic light"), ((40, 0, 60, 20), "cat"))
    labels = resized_map(CAT.labels, (int(HEIGHT * scale[0]), int(WIDTH * scale[1])))
    other = replace(CAT, labels=labels, confidence=np.ones(labels.shape, dtype=np.float32))
    assert find_flags({"pets": boxes, "masks": other}) == find_flags({"pets": boxes, "masks": CAT})


def test_where_masks_claim_nothing_there_is_no_flag() -> None:
    assert not find_flags({"pets": objects(((0, 0, 20, 20), "cat")), "masks": masks(255)})


@given(
    left=st.floats(-20, 70),
    top=st.floats(-20, 50),
    width=st.floats(0, 90),
    height=st.floats(0, 60),
    share=st.floats(0, 1),
)
def test_support_is_the_share_of_the_boxs_pixels(
    left: float, top: float, width: float, height: float, share: float
) -> None:
    box = (left, top, left + width, top + height)
    result = masks(1, 0, round(share * WIDTH))
    flags = find_flags({"pets": objects((box, "cat")), "masks": result}, support=2.0)
    x1, y1, x2, y2 = (round(float(value)) for value in np.float32(box))
    inside = result.labels[max(y1, 0) : max(y2, y1 + 1, 0), max(x1, 0) : max(x2, x1 + 1, 0)]
    assert len(flags) == bool(inside.size)
    for flag in flags:
        assert flag.support == pytest.approx((inside == 1).sum() / inside.size)


def test_flags_are_in_every_output(tmp_path: Path) -> None:
    results: dict[str, Result] = {"pets": objects(((40, 0, 60, 20), "cat")), "masks": CAT}
    seen = Perception(results, {"detections": "pets"}, {})
    wanted: list[dict[str, Any]] = [
        {"head": "pets", "detection": 0, "masks": "masks", "support": 0.0, "seen": "background"}
    ]
    assert "flags: 1 detection without a mask of the same class" in repr(seen)
    assert json.loads(json.dumps(seen.to_dict()))["flags"] == wanted
    Flag.model_validate(wanted[0])
    with ResultFiles(tmp_path / "out", ["jsonl"]) as files:
        files.add(Record("one", "one", "one.png", IMAGE, results))
    assert json.loads((tmp_path / "out" / "results.jsonl").read_text())["flags"] == wanted
    sound = Perception({"pets": objects(((10, 10, 30, 30), "cat")), "masks": CAT}, {}, {})
    assert "flags" not in sound.to_dict()
    assert "flags" not in repr(sound)
