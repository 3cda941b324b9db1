"""Scores of chosen samples, computed from contributions, against the metric run again on copies of these samples."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

from argus_core.errors import ArgusError
from argus_core.tasks import Contributions, Metric, join_contributions
from argus_core.tasks.classify import Classes
from argus_core.tasks.classify.metric import Accuracy
from argus_core.tasks.correspond.metric import PCKMetric
from argus_core.tasks.depth import DepthMap
from argus_core.tasks.depth.metric import DepthMetric
from argus_core.tasks.detect import Boxes, CocoMetric, Detections
from argus_core.tasks.segment import IoUMetric, Segmentation

IMAGES = 9
CLASSES = ("cat", "dog", "emu", "none/such")


def classified(number, rng):
    truth = int(rng.integers(3))
    return Classes(torch.from_numpy(np.round(rng.random(4) + 0.4 * np.eye(4)[truth], 1))), truth


def segmented(number, rng):
    truth = rng.choice([0, 1, 2, 255], (7, 9), p=[0.6, 0.3, 0.05, 0.05])
    found = np.where(rng.random((7, 9)) < 0.7, truth, rng.integers(0, 3, (7, 9)))
    return Segmentation(torch.from_numpy(found), torch.ones(7, 9)), truth


def measured(number, rng):
    truth = np.where(rng.random((6, 5)) < 0.8, rng.uniform(0.5, 9, (6, 5)), 0) * (number != 4)  # one knows nothing
    return DepthMap(torch.from_numpy((truth + 0.1) * np.exp(rng.normal(0, 0.3, (6, 5)))), None), truth


def detected(number, rng):
    """Objects of all sizes, crowds, difficult ones, and scores of which many are equal, also within an image."""
    count = int(rng.integers(0, 9)) * (number != 2)
    start, side = rng.uniform(0, 300, (count, 2)), np.exp(rng.uniform(np.log(10), np.log(250), (count, 2)))
    boxes, labels = np.concatenate([start, start + side], 1), rng.integers(0, 3, count)
    area = side.prod(1) * 0.7
    crowd, difficult = rng.random(count) < 0.15, rng.random(count) < 0.1
    kept = np.repeat(rng.random(count) < 0.8, 2)
    guess = np.repeat(boxes, 2, axis=0) + rng.normal(0, 0.07, (2 * count, 4)) * np.tile(np.repeat(side, 2, axis=0), 2)
    guess, named = guess[kept], np.where(rng.random(2 * count) < 0.85, np.repeat(labels, 2), 1)[kept]
    scores = np.round(rng.random(len(guess)), 1)
    order = np.argsort(-scores, kind="stable")
    found = Detections(
        torch.from_numpy(guess[order]), torch.from_numpy(scores[order]), torch.from_numpy(named[order]).long()
    )
    return found, Boxes(boxes, labels, crowd, area, difficult & ~crowd)


class Points(PCKMetric):
    """Its records from numbers, without images."""

    def update(self, key, prediction, truth):
        self.add(key, prediction)


def matched(number, rng):
    count = 0 if number == 3 else int(rng.integers(1, 7))
    errors = np.where(rng.random(count) < 0.1, math.inf, rng.choice([0.03, 0.05, 0.08, 0.1, 0.12, 0.3], count))
    mutual = (rng.random(count) < 0.6).tolist()
    return {"errors": errors.tolist(), "mutual": mutual, "category": ("car", "été")[number % 2]}, None


KINDS = {
    "classify": (lambda: Accuracy(CLASSES), classified),
    "segment": (lambda: IoUMetric(CLASSES, 255), segmented),
    "depth by image": (lambda: DepthMetric(0.1, 10.0), measured),
    "depth by pixel": (lambda: DepthMetric(0.1, 10.0, average="pixel"), measured),
    "detect": (lambda: CocoMetric(CLASSES), detected),
    "correspond by pair": (lambda: Points(0.1, "box", "pair"), matched),
    "correspond by point": (lambda: Points(0.08, "box", "point"), matched),
}


def filled(kind, chosen=None, seed=0) -> Metric:
    """The metric of some samples, each as often as ``chosen`` says; copies of a sample stand side by side."""
    make, sample = KINDS[kind]
    metric = make()
    for number, count in enumerate([1] * IMAGES if chosen is None else chosen):
        prediction, truth = sample(number, np.random.default_rng([seed, number]))
        for copy in range(count):
            metric.update(f"{number:02}#{copy}", prediction, truth)
    return metric


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_scores_of_chosen_samples_are_those_of_a_rerun_with_copies(kind, seed):
    metric, rng = filled(kind, seed=seed), np.random.default_rng(seed)
    kept, whole = metric.contributions(), metric.compute()
    counts = np.array([[1] * IMAGES, [0] * 8 + [1], [5] + [0] * 8, *rng.multinomial(IMAGES, [1 / IMAGES] * IMAGES, 12)])
    reruns = [filled(kind, chosen, seed).compute() for chosen in counts.tolist()]
    fresh = KINDS[kind][0]()
    for score in whole:
        found = fresh.rescore(kept, score)(counts)
        expected = [rerun.get(score, math.nan) for rerun in reruns]
        assert found.tolist() == pytest.approx(expected, abs=1e-12, nan_ok=True), score
    defined = np.isfinite([rerun[metric.primary] for rerun in reruns])
    assert defined.sum() > 8


@pytest.mark.parametrize("kind", KINDS)
def test_processes_that_merge_keep_the_same(kind):
    """Their states go through JSON; what is kept does not depend on which process saw which sample."""
    whole, make = filled(kind), KINDS[kind][0]
    states = json.loads(json.dumps(whole.state()))
    parts = [dict(list(states.items())[start::3]) for start in (2, 0, 1)]
    merged = make()
    merged.merge(parts)
    one, other = whole.contributions(), merged.contributions()
    assert one.keys == other.keys == tuple(sorted(states))
    for name, array in one.arrays.items():
        assert array.dtype == other.arrays[name].dtype
        np.testing.assert_array_equal(array, other.arrays[name])


@pytest.mark.parametrize("kind", KINDS)
def test_parts_are_joined_by_concatenation(kind):
    """Samples of two metrics, chosen from both."""
    first, second = filled(kind), filled(kind, seed=1)
    both = join_contributions([first.contributions(), second.contributions()])
    assert len(both) == 2 * IMAGES
    chosen = np.tile([[1] * IMAGES + [0] * IMAGES, [0] * IMAGES + [1] * IMAGES], 1)
    expected = [metric.compute()[metric.primary] for metric in (first, second)]
    assert first.rescore(both, first.primary)(chosen).tolist() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_gives_nothing_and_unknown_scores_have_no_way(kind):
    empty = filled(kind, [0] * IMAGES)
    kept = empty.contributions()
    assert len(kept) == 0
    rescored = empty.rescore(kept, empty.primary)(np.zeros((2, 0), dtype=int))
    assert np.isnan(rescored).all() and rescored.shape == (2,)
    for name in ("nonsense", "AP/none", "class/none", "IoU/none", "a_b"):
        assert filled(kind).rescore(filled(kind).contributions(), name) is None


def test_parts_of_different_metrics_are_refused():
    parts = [filled(kind).contributions() for kind in ("depth by pixel", "classify")]
    with pytest.raises(ArgusError, match="different metrics"):
        join_contributions(parts)


def test_detections_that_change_no_score_are_left_out():
    metric, more = CocoMetric(CLASSES), CocoMetric(CLASSES)
    for number in range(IMAGES):
        found, truth = detected(number, np.random.default_rng(number))
        metric.update(str(number), found, truth)
        low = Detections(torch.rand(20, 4) * 9, torch.full((20,), 0.001), torch.arange(20) % 3)
        extended = Detections(*(torch.cat([getattr(one, name) for one in (found, low)]) for name in vars(low)))
        more.update(str(number), extended, truth)
    kept, other = metric.contributions(), more.contributions()
    assert kept.arrays["score"].tolist() == other.arrays["score"].tolist()


def test_the_faster_backend_keeps_the_same():
    pytest.importorskip("faster_coco_eval", reason="the fast-eval extra is not installed")
    metrics = [CocoMetric(CLASSES), CocoMetric(CLASSES, "faster")]
    for metric in metrics:
        for number in range(IMAGES):
            metric.update(str(number), *detected(number, np.random.default_rng(number)))
    first, second = (metric.contributions() for metric in metrics)
    assert all((first.arrays[name] == second.arrays[name]).all() for name in first.arrays)


def test_a_metric_keeps_nothing_unless_it_says_so():
    class Plain(Metric):
        primary, protocol = "score", "plain-1"

        def update(self, key, prediction, truth): ...

        def compute(self):
            return {"score": 1.0}

        def state(self):
            return {}

        def merge(self, states): ...

    assert Plain().contributions() is None
    assert Plain().rescore(Contributions((), {}), "score") is None
