"""How unsure a head is, by its prediction: from nothing, where it is sure, to its largest, where it cannot tell."""

from __future__ import annotations

import pytest
import torch

from argus_core.canvas import Canvas
from argus_core.tasks.classify import Classes
from argus_core.tasks.depth import DepthMaps
from argus_core.tasks.detect import Detections
from argus_core.tasks.segment import ClassMaps
from argus_core.teach.doubt import doubt

PLACE = Canvas(64).place(32, 64)  # the lower half is padding


def detections(*scores):
    return Detections(torch.zeros(len(scores), 4), torch.tensor(scores), torch.zeros(len(scores), dtype=torch.long))


def test_classes_are_doubted_by_their_margin():
    said = [doubt(Classes(torch.tensor(scores)), PLACE) for scores in ([1.0, 0, 0], [0.6, 0.3, 0.1], [0.5, 0.5, 0.0])]
    assert said == pytest.approx([0, 0.7, 1])
    assert doubt(Classes(torch.tensor([0.9, -0.9])), PLACE) == 0  # cosines


def test_masks_are_doubted_where_the_image_is():
    logits = torch.zeros(2, 4, 4)
    logits[0, :2] = 50.0
    assert doubt(ClassMaps(logits, 16), PLACE) == pytest.approx(0, abs=1e-6)
    logits[0, 1] = 0.0
    assert doubt(ClassMaps(logits, 16), PLACE) == pytest.approx(0.5)
    assert doubt(ClassMaps(torch.zeros(1, 4, 4), 16), PLACE) == 0  # of one class there is no doubt


def test_boxes_are_doubted_by_those_that_are_neither_there_nor_not():
    assert doubt(detections(), PLACE) == 0
    assert doubt(detections(0.001, 0.99), PLACE) < doubt(detections(0.3, 0.99), PLACE) < doubt(detections(0.5), PLACE)
    assert doubt(detections(*[0.5] * 50), PLACE) == pytest.approx(1)


def test_depth_is_doubted_by_its_relative_deviation():
    depth, spread = torch.full((4, 4), 2.0), torch.full((4, 4), 0.5)
    spread[2:] = 100.0
    assert doubt(DepthMaps(depth, spread, 16), PLACE) == pytest.approx(0.25)


def test_other_predictions_tell_no_doubt():
    assert doubt("anything", PLACE) == 0
