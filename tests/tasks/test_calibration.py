"""Calibration: temperatures and shifts are found again, errors are counted, and order and labels stay."""

from __future__ import annotations

import contextlib
import io
import math

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from argus_core.errors import ArgusError
from argus_core.nn import enlarge
from argus_core.tasks import (
    Calibration,
    Outcomes,
    best_of_classes,
    calibration_error,
    fit_calibration,
    join_outcomes,
    yes_or_no,
)
from argus_core.tasks.classify import Classes, Classify, ClassTarget
from argus_core.tasks.depth import Depth
from argus_core.tasks.detect import BoxTarget, Detect, Detections
from argus_core.tasks.detect.hits import find_hits
from argus_core.tasks.segment import Segment
from argus_core.tasks.segment.loss import MaskTarget
from argus_core.tasks.segment.values import ClassMaps

STRONG = Calibration(2.5, -0.7)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def classified(temperature: float, images: int = 3000) -> Outcomes:
    """Classes drawn from the softmax of logits that a head states times ``temperature``."""
    logits = 2 * torch.randn(images, 4, generator=generator())
    true = torch.multinomial(logits.softmax(1), 1, generator=generator(1))[:, 0]
    return Outcomes(temperature * logits, logits.argmax(1), true, torch.arange(images))


@pytest.mark.parametrize("temperature", [0.3, 2.5])
def test_a_temperature_is_found(temperature):
    outcomes = classified(temperature)
    found = fit_calibration(outcomes)
    assert found is not None and found.shift == 0
    assert found.temperature == pytest.approx(temperature, rel=0.06)
    assert calibration_error(outcomes, found) < 0.03 < 0.15 < calibration_error(outcomes)
    assert outcomes.loss(found) < outcomes.loss(None)


def test_temperature_and_shift_of_scores_are_found():
    z = 2 * torch.randn(6000, generator=generator())
    right = torch.rand(6000, generator=generator(1)) < (z / STRONG.temperature + STRONG.shift).sigmoid()
    parts = [yes_or_no(z[i : i + 3].sigmoid(), right[i : i + 3], i) for i in range(0, 6000, 3)]
    found = fit_calibration(join_outcomes(parts))
    assert found is not None
    assert (found.temperature, found.shift) == pytest.approx((STRONG.temperature, STRONG.shift), abs=0.15)


def test_what_does_not_help_other_images_is_left():
    assert fit_calibration(classified(1.0)) is None
    assert fit_calibration(yes_or_no(torch.rand(50), torch.rand(50) < 0.1, 7)) is None  # a single image


def test_a_head_that_is_always_right_gets_finite_numbers():
    right = yes_or_no(torch.full((40,), 0.6), torch.ones(40), 0)
    found = fit_calibration(join_outcomes([right, yes_or_no(torch.full((40,), 0.6), torch.ones(40), 1)]))
    assert found is not None and 0.8 < found.scores(torch.tensor(0.6)) < 1 - 1 / 160


def test_the_error_is_that_of_counting_bins():
    outcomes, bins = classified(2.0, 400), 15
    best = outcomes.logits.double().softmax(1).numpy().max(1)
    right = (outcomes.claimed == outcomes.true).numpy()
    error = 0.0
    for low in np.arange(bins) / bins:
        inside = (best >= low) & (best < low + 1 / bins)
        if inside.any():
            error += inside.mean() * abs(best[inside].mean() - right[inside].mean())
    assert calibration_error(outcomes) == pytest.approx(error, abs=1e-9)
    assert math.isnan(calibration_error(yes_or_no(torch.zeros(0), torch.zeros(0), 0)))


def test_joined_outcomes_do_not_depend_on_who_computed_them():
    parts = [yes_or_no(torch.rand(n % 3, generator=generator(n)), torch.ones(n % 3), n) for n in range(9)]
    first, second = join_outcomes(parts), join_outcomes([*parts[1::2], *parts[::2]])
    assert torch.equal(first.logits, second.logits) and torch.equal(first.image, second.image)
    assert len(first.of_images(torch.tensor([2, 5]))) == 4


def test_order_and_labels_stay():
    scores = torch.cat([torch.rand(97, generator=generator()), torch.tensor([0.0, 1.0, 1.0])]).sort(descending=True)[0]
    found = Detections(torch.rand(100, 4), scores, torch.zeros(100).long())
    calibrated = Detect.small().calibrated(found, STRONG).scores
    assert (calibrated.diff() <= 0).all() and calibrated.min() >= 0 and calibrated.max() <= 1
    assert torch.equal(calibrated.unique(), STRONG.scores(scores).unique())
    maps = ClassMaps(torch.randn(3, 5, 7, generator=generator()), 4)
    assert torch.equal(Segment.small().calibrated(maps, STRONG).logits.argmax(0), maps.logits.argmax(0))
    classes = Classes(torch.tensor([0.2, 0.8, 0.0]))
    after = Classify.small().calibrated(classes, STRONG).scores
    assert after.sum() == pytest.approx(1) and after.argsort().tolist() == [2, 0, 1]


def test_scores_that_round_to_one_keep_their_order():
    scores = torch.tensor([0.999, 0.998, 0.995, 0.99, 0.985])
    for steep in (Calibration(0.25, -0.6), Calibration(0.05, 3.0)):
        assert (steep.scores(scores).diff() < 0).all() and steep.scores(scores).max() <= 1
    shares = torch.tensor([0.6, 0.3, 0.06, 0.04])
    assert (Calibration(0.01).classes(shares).diff() < 0).all()


def test_scores_that_are_no_probabilities_stay():
    cosines = Classes(torch.tensor([0.31, 0.3, -0.05, -0.2]))
    assert Classify.small().calibrated(cosines, STRONG) is cosines


def test_confidences_that_are_no_numbers_are_refused():
    with pytest.raises(ArgusError, match="confidences are not finite"):
        calibration_error(yes_or_no(torch.tensor([math.nan]), torch.ones(1), 0))


def test_no_change_is_no_change():
    none, scores = Calibration(1.0), torch.rand(50, generator=generator())
    assert torch.allclose(none.scores(scores), scores, atol=1e-6)
    shares = scores / scores.sum()
    assert torch.allclose(none.classes(shares), shares, atol=1e-6)
    depth = object()
    assert Depth.small().calibrated(depth, STRONG) is depth  # depth states a deviation, and no probability


@pytest.mark.parametrize("values", [(0.0,), (-1.0,), (math.nan,), (1e-300,), ("a",), (None,), (1.0, math.inf)])
def test_what_is_no_calibration_is_refused(values):
    with pytest.raises(ArgusError, match=r"give a temperature of 0\.001 to 1000"):
        Calibration(*values)


@pytest.mark.parametrize("seed", range(4))
def test_hits_are_those_of_pycocotools(seed):
    """Boxes on a grid of cells, so that a detection overlaps one annotation at most."""
    rng = np.random.default_rng(seed)
    corners = 50.0 * np.stack(np.meshgrid(range(4), range(4)), -1).reshape(-1, 2)
    goals = np.concatenate([corners, corners + 40], axis=1)[rng.random(16) < 0.8]
    labels, crowd = rng.integers(0, 2, len(goals)), rng.random(len(goals)) < 0.2
    rows = np.clip(goals.repeat(2, axis=0) + rng.normal(0, 6, (2 * len(goals), 4)), 0, 200)
    named = np.where(rng.random(len(rows)) < 0.8, labels.repeat(2), 1 - labels.repeat(2))
    scores = np.sort(rng.random(len(rows)))[::-1].copy()
    order = rng.permutation(len(rows))
    rows, named = rows[order], named[order]
    found = Detections(torch.tensor(rows), torch.tensor(scores), torch.tensor(named))
    target = BoxTarget(torch.tensor(goals), torch.tensor(labels), torch.tensor(crowd))
    right, counted = find_hits(found, target)
    for label in (0, 1):
        result = pycocotools_image(rows, scores, named, goals, labels, crowd, label)
        ignored = result["dtIgnore"][0]
        own = named == label
        assert counted[own].tolist() == (~ignored.astype(bool)).tolist()
        matched = (result["dtMatches"][0] > 0) & ~ignored.astype(bool)
        assert right[own].tolist() == matched.tolist()


def pycocotools_image(rows, scores, named, goals, labels, crowd, label):
    """What COCOeval says of one image and class at an IoU of 0.5."""

    def index(entries):
        coco = COCO()
        categories = [{"id": 0, "name": "a"}, {"id": 1, "name": "b"}]
        coco.dataset = {"images": [{"id": 0}], "categories": categories, "annotations": entries}
        coco.createIndex()
        return coco

    def entry(number, box, label, **more):
        sides = [*box[:2], *(box[2:] - box[:2])]
        area = float(sides[2] * sides[3])
        return {"id": number, "image_id": 0, "category_id": int(label), "bbox": sides, "area": area, **more}

    def counting(boxes):
        return range(1, len(boxes) + 1)

    with contextlib.redirect_stdout(io.StringIO()):
        truth = index([entry(n, goals[n - 1], labels[n - 1], iscrowd=int(crowd[n - 1])) for n in counting(goals)])
        guess = index([entry(n, rows[n - 1], named[n - 1], score=scores[n - 1]) for n in counting(rows)])
        evaluation = COCOeval(truth, guess, "bbox")
        evaluation.evaluate()
    return evaluation.evalImgs[label * 4]


def test_nothing_found_and_nothing_annotated():
    empty = Detections(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0).long())
    nothing = Detect.small().nothing((64, 64))
    assert [len(each) for each in find_hits(empty, nothing)] == [0, 0]
    one = Detections(torch.tensor([[0.0, 0, 9, 9]]), torch.tensor([0.5]), torch.tensor([1]))
    assert [each.tolist() for each in find_hits(one, nothing)] == [[False], [True]]
    outcomes = Detect.small().outcomes(one, nothing, 3)
    assert outcomes.image.tolist() == [3] and outcomes.claimed.tolist() == [1] and outcomes.true.tolist() == [0]


def test_a_box_without_area_is_no_part_of_a_crowd_elsewhere():
    target = BoxTarget(torch.tensor([[50.0, 50, 60, 60]]), torch.tensor([0]), torch.tensor([True]))
    points = Detections(
        torch.tensor([[5.0, 5, 5, 5], [55, 55, 55, 55]]), torch.tensor([0.5, 0.4]), torch.tensor([0, 0])
    )
    assert find_hits(points, target)[1].tolist() == [True, True]
    inside = Detections(torch.tensor([[51.0, 51, 55, 55]]), torch.tensor([0.5]), torch.tensor([0]))
    assert find_hits(inside, target)[1].tolist() == [False]


@pytest.mark.parametrize(("stride", "cells"), [(4, (5, 7)), (1, (19, 27)), (16, (2, 2))])
def test_pixels_of_masks_are_looked_at_as_they_are_enlarged(stride, cells):
    task, size = Segment.small(), (19, 27)
    maps = ClassMaps(torch.randn(3, *cells, generator=generator()), stride)
    labels = torch.randint(0, 3, size, generator=generator())
    labels[:3] = labels[:, 20:] = task.ignore
    outcomes = task.outcomes(maps, MaskTarget(labels), 5)
    assert len(outcomes) == 50 and (outcomes.true < 3).all()
    kept = (labels != task.ignore).nonzero()
    places = kept[torch.arange(50) * len(kept) // 50]
    wide = enlarge(maps.logits[None], stride, size)[0]
    assert torch.allclose(outcomes.logits.T, wide[:, places[:, 0], places[:, 1]], atol=1e-5)
    assert torch.equal(outcomes.true, labels[places[:, 0], places[:, 1]])
    assert len(task.outcomes(maps, task.nothing(size), 5)) == 0


def test_classes_without_probabilities_have_no_outcomes():
    task, target = Classify.small(), ClassTarget(torch.tensor(1))
    assert task.outcomes(Classes(torch.tensor([0.5, 0.9, -0.2])), target, 0) is None
    shares = torch.tensor([0.0, 0.7, 0.3])
    outcomes = task.outcomes(Classes(shares), target, 0)
    assert torch.allclose(outcomes.logits.softmax(1)[0], shares) and outcomes.true.tolist() == [1]
    assert torch.equal(best_of_classes(outcomes.logits, outcomes.true, 0).claimed, outcomes.claimed)
