"""The picture of a film's frames: one layout, one scale, places that stay."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from argus_core.draw import paint_depth
from argus_core.model.panels import keep_places, panels_of, round_up
from argus_core.model.screen import MOST, Screen, clock_text
from argus_core.tasks.classify import Classes, ClassResult
from argus_core.tasks.depth import DepthResult
from argus_core.tasks.detect import DetectionResult, Detections
from argus_core.tasks.segment import SegmentResult

CLASSES = ("cat", "dog", "a very long name that does not fit into a legend", "Ж")


def image_of(size):
    return np.random.default_rng(sum(size)).integers(0, 255, (*size, 3), dtype=np.uint8)


def masks(size, labels=(0, 1, 3)):
    image = image_of(size)
    values = np.resize(np.repeat(np.array(labels), max(1, size[1] // len(labels))), size).astype(np.int64)
    return SegmentResult(image, values, np.ones(size, np.float32), CLASSES)


def depth(size, near=1.0, far=4.5):
    metres = np.linspace(near, far, size[0] * size[1], dtype=np.float32).reshape(size)
    return DepthResult(image_of(size), metres, metres)


def boxes(size, count=3):
    corners = torch.tensor([[0, 0, size[1] / 2, size[0] / 2]] * count).reshape(-1, 4)
    found = Detections(corners, torch.linspace(0.9, 0.5, count), torch.arange(count) % 4)
    return DetectionResult(image_of(size), found, CLASSES)


def kinds(size, best=0):
    scores = torch.full((len(CLASSES),), 0.1)
    scores[best] = 0.7
    return ClassResult(image_of(size), Classes(scores), CLASSES, 3)


def everything(size):
    return {"kinds": kinds(size), "masks": masks(size), "metres": depth(size), "boxes": boxes(size)}


@pytest.mark.parametrize(
    "heads", [["kinds"], ["boxes"], ["metres"], ["boxes", "masks"], ["kinds", "masks", "metres", "boxes"]]
)
@pytest.mark.parametrize("size", [(48, 64), (720, 1280), (1280, 720), (33, 57), (1, 1), (1, 900), (900, 1), (2, 2100)])
def test_every_frame_has_the_size_of_the_first(size, heads):
    first = {name: result for name, result in everything(size).items() if name in heads}
    screen = Screen(first)
    height, width = screen.size
    assert height % 2 == width % 2 == 0 and max(height, width) <= MOST
    for number, other in enumerate((size, (40, 40), (7, 90))):
        results = {name: result for name, result in everything(other).items() if name in heads}
        assert screen.draw(results, number, number / 25).shape == (height, width, 3)


def test_the_frame_keeps_its_aspect_and_is_not_made_smaller_than_needed():
    first, *others = Screen(everything((720, 1280)))._cells
    assert (first.height, first.width) == (720, 1280) or first.width / first.height == pytest.approx(16 / 9, abs=0.01)
    assert first.width >= 1200
    assert [(cell.width / cell.height) for cell in others] == pytest.approx([16 / 9] * 2, abs=0.02)


def test_a_depth_has_one_colour_whatever_else_the_frame_shows():
    near, wide = depth((60, 80), 1.0, 4.5), depth((60, 80), 1.0, 2.0)
    panel = panels_of({"metres": near})[1]
    panel.picture({"metres": near}, (60, 80))
    for result in (near, wide, near):
        assert np.array_equal(panel.picture({"metres": result}, (60, 80)), paint_depth(result.metres, 0.0, 5.0))
    panel.picture({"metres": depth((60, 80), 1.0, 7.0)}, (60, 80))
    assert np.array_equal(panel.picture({"metres": near}, (60, 80)), paint_depth(near.metres, 0.0, 10.0))


def test_unknown_depths_can_be_drawn():
    nothing = DepthResult(image_of((60, 80)), *[np.zeros((60, 80), np.float32)] * 2)
    assert Screen({"metres": nothing}).draw({"metres": nothing}, 0, 0.0).size


def test_round_numbers_lie_above():
    assert [round_up(metres) for metres in (0.03, 1, 1.01, 2.5, 5, 7, 80)] == pytest.approx([0.05, 1, 2, 5, 5, 10, 100])


def test_a_class_keeps_its_place_in_the_legend():
    places = keep_places([], {4: 0.2, 7: 0.7}, 3)
    assert places == [7, 4]
    assert keep_places(places, {4: 0.9, 1: 0.1}, 3) == [7, 4, 1]
    assert (
        keep_places([7, 4, 1], {4: 0.9, 2: 0.1}, 3) == [2, 4, 1] or keep_places([7, 4, 1], {4: 0.9, 2: 0.1}, 3)[1] == 4
    )
    assert keep_places([7, 4, 1], {7: 0.4, 4: 0.3, 1: 0.1, 2: 0.15}, 3) == [7, 4, 1]  # not for a little more


def test_times_are_written_as_on_a_player():
    assert [clock_text(s) for s in (0, 4.1, 59.999, 65.25, 3723.4)] == [
        "0:00.00",
        "0:04.10",
        "1:00.00",
        "1:05.25",
        "1:02:03.40",
    ]
