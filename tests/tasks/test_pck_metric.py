"""PCK by hand, its options, and its independence of order and processes."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

import numpy as np
import pytest

from argus_core.canvas import Canvas, Placement
from argus_core.common.options import options_model
from argus_core.errors import ArgusError
from argus_core.protocols import find_protocol
from argus_core.tasks.correspond import Correspond, Found, Matches
from match_help import described, smooth

TASK = Correspond()
PROTOCOLS = ("spair-box-pair-1", "spair-box-point-1", "spair-image-pair-1", "spair-image-point-1", "pf-willow-1")


@dataclass
class Says:
    """Stands for both images of a pair: finds the given points."""

    points: np.ndarray
    place: Placement | None = None
    mutual: np.ndarray | None = None

    def match(self, other, asked):
        return Found(self.points, np.ones(len(asked)), self.mutual)


def add(metric, key, distances, box=(0.0, 0.0, 100.0, 50.0), size=(200, 400), category="", mutual=None):
    """A pair whose points are found ``distances`` pixels off, in turn to the right and below."""
    target = np.array([[10.0 * i, 7.0 * i] for i in range(len(distances))]).reshape(-1, 2)
    found = target + [[d, 0] if i % 2 == 0 else [0, d] for i, d in enumerate(distances)] if distances else target
    says = Says(found, Canvas(64).place(*size), None if mutual is None else np.array(mutual))
    metric.update(key, (says, says), Matches(target, target, box, category))


def filled(order=("a", "b", "c", "d"), **options):
    metric = TASK.metric(**options)
    pairs = {
        "a": ((4.9, 5.0, 5.1, 10.0, 10.1), {"category": "cat"}),
        "b": ((14.9, 15.1), {"category": "emu"}),
        "c": ((), {"category": "cat"}),
        "d": ((1.0,), {"category": "cat", "box": (50.0, 0.0, 54.0, 10.0)}),
    }
    for key in order:
        add(metric, key, pairs[key][0], **pairs[key][1])
    return metric


def test_per_pair_and_per_point_by_hand():
    pair = filled().compute()
    assert pair == pytest.approx(
        {
            "PCK@0.1": (4 / 5 + 0 + 1) / 3,  # at 10, 10 and 1 pixels
            "PCK@0.05": (2 / 5 + 0 + 0) / 3,
            "PCK@0.15": (1 + 1 / 2 + 1) / 3,
            "category/cat": (4 / 5 + 1) / 2,
            "category/emu": 0,
        }
    )
    point = filled(average="point").compute()
    assert point == pytest.approx(
        {"PCK@0.1": 5 / 8, "PCK@0.05": 2 / 8, "PCK@0.15": 7 / 8, "category/cat": 5 / 6, "category/emu": 0}
    )


def test_by_image_the_threshold_is_the_longer_side_of_the_target_image():
    metric = TASK.metric(threshold="image")
    add(metric, "wide", (39.9, 40.1), box=None, size=(200, 400))
    add(metric, "tall", (49.9, 50.1, 10.0), box=(0, 0, 1, 1), size=(500, 400))
    assert metric.compute()["PCK@0.1"] == pytest.approx((1 / 2 + 2 / 3) / 2)


def test_another_alpha_ranks_and_names_itself():
    metric = filled(alpha=0.2, average="point")
    scores = metric.compute()
    assert metric.primary == next(iter(scores)) == "PCK@0.2" and scores["PCK@0.2"] == 1
    assert {"PCK@0.05", "PCK@0.1", "PCK@0.15"} < set(scores) and scores["category/emu"] == 1
    assert metric.protocol == "pck@0.2-box-point-1"
    assert TASK.metric().protocol == "pck-box-pair-1" and TASK.metric().primary == "PCK@0.1"
    assert TASK.metric(threshold="image").protocol == "pck-image-pair-1"
    for alpha in (0, -0.1, math.nan, math.inf):
        with pytest.raises(ArgusError, match="alpha"):
            TASK.metric(alpha=alpha)


def test_a_point_without_a_match_is_wrong():
    metric = TASK.metric()
    target = np.zeros((2, 2))
    says = Says(np.array([[0, 0], [np.nan, np.nan]]))
    metric.update("a", (says, says), Matches(target, target, (0, 0, 1, 1)))
    assert metric.compute()["PCK@0.1"] == 0.5


def test_mutual_matches_are_scored_alone_too():
    metric = TASK.metric(average="point")
    add(metric, "a", (1.0, 99.0, 99.0, 1.0), mutual=[True, False, True, False])
    add(metric, "b", (99.0,), mutual=[False])
    scores = metric.compute()
    assert scores["mutual"] == 2 / 5 and scores["mutual/PCK"] == 1 / 2 and scores["PCK@0.1"] == 2 / 5
    assert "mutual" not in filled().compute()


def test_without_any_point_scores_are_undefined():
    assert math.isnan(TASK.metric().compute()["PCK@0.1"])
    for average in ("pair", "point"):
        scores = filled(order=("c",), average=average).compute()
        assert math.isnan(scores["PCK@0.1"]) and math.isnan(scores["category/cat"])


def test_order_and_processes_do_not_change_the_score():
    whole, turned = filled(), filled(order=("d", "c", "b", "a"))
    assert whole.compute() == turned.compute()
    parts = [json.loads(json.dumps(filled(order=order).state())) for order in (("d", "b"), (), ("c", "a"))]
    merged = TASK.metric()
    add(merged, "old", (1.0,))
    merged.merge(parts)
    assert merged.compute() == whole.compute()
    with pytest.raises(ArgusError, match="twice"):
        merged.merge([parts[0], whole.state()])
    with pytest.raises(ArgusError, match="'a' is counted twice"):
        add(whole, "a", (1.0,))


def test_a_pair_without_a_box_cannot_be_scored_by_box():
    with pytest.raises(ArgusError, match="threshold=image"):
        add(TASK.metric(), "a", (1.0,), box=None)


@pytest.mark.parametrize("fit", ["letterbox", "stretch"])
def test_true_correspondence_scores_one(fit):
    """Two images of one field, the second moved by whole cells and of another size."""
    source, target = smooth((12, 14)), smooth((12, 14), (1, -2))
    place, other = Canvas(192, 224, fit=fit).place(96, 112), Canvas(192, 224, fit=fit).place(192, 224)
    asked = 24 + np.random.default_rng(0).random((30, 2)) * [60, 50]
    truth = Matches(asked, 2 * asked - [-32, 16], (0, 0, 40, 40))
    for options in ({}, {"average": "point"}, {"threshold": "image"}, {"alpha": 0.05}):
        metric = TASK.metric(**options)
        metric.update("a", (described(source, place), described(target, other)), truth)
        assert metric.compute()[metric.primary] == 1


@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_protocol_settles_every_option(name):
    protocol = find_protocol(name)
    assert protocol.name == name and protocol.task == "correspond" and protocol.canvas == Canvas(512, fit="stretch")
    assert set(protocol.metric) == set(options_model(TASK.metric).model_fields)
    metric = TASK.metric(**protocol.metric)
    threshold, average = metric.protocol.split("-")[1:3]
    assert name == "pf-willow-1" or name == f"spair-{threshold}-{average}-1"
    assert name != "pf-willow-1" or (threshold, average) == ("box", "pair")
    assert protocol.notes and len(set(protocol.notes)) == len(protocol.notes)
