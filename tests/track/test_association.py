"""Assignment against every possible one, overlaps, cover, and the scale of likeness."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from argus_core.track.association import assign, overlaps
from argus_core.track.identity import Identity, Seen
from argus_core.track.likeness import Likeness
from argus_core.track.motion import Motion


def best_total(cost, limit):
    """The least total over all ways to assign, where rows left alone cost ``limit``."""
    rows, columns = cost.shape
    padded = np.hstack([cost, np.full((rows, rows), limit)])
    return min(
        sum(padded[row, column] for row, column in enumerate(chosen))
        for chosen in permutations(range(columns + rows), rows)
    )


def test_the_assignment_is_the_best_of_all():
    rng = np.random.default_rng(0)
    for _ in range(60):
        cost = rng.random((rng.integers(1, 4), rng.integers(1, 4)))
        cost[rng.random(cost.shape) < 0.2] = np.inf
        pairs = assign(cost, 0.6)
        total = sum(cost[pair] for pair in pairs) + 0.6 * (len(cost) - len(pairs))
        assert total == pytest.approx(best_total(cost, 0.6))
        assert all(cost[pair] < 0.6 for pair in pairs)
        assert len({row for row, _ in pairs}) == len({column for _, column in pairs}) == len(pairs)


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0)])
def test_nothing_is_assigned_to_nothing(shape):
    assert assign(np.zeros(shape), 1.0) == []


def test_overlaps():
    one, two = np.array([[0.0, 0, 2, 2]]), np.array([[1.0, 0, 3, 2], [5, 5, 6, 6], [0, 0, 2, 2], [1, 1, 1, 1]])
    assert overlaps(one, two)[0] == pytest.approx([1 / 3, 0, 1, 0])
    assert overlaps(two[3:], two[3:]).tolist() == [[0.0]]
    assert overlaps(np.zeros((0, 4)), two).shape == (0, 4)


def seen_boxes(boxes, sure=None):
    """Boxes of a frame, by default all of high scores."""
    boxes = np.array(boxes, dtype=np.float64).reshape(-1, 4)
    count = len(boxes)
    return Seen(boxes, np.ones(count), np.zeros(count, np.int64), None, np.array(sure or [True] * count, dtype=bool))


def test_the_clear_share_is_what_no_single_sure_box_covers():
    boxes = [[0, 0, 10, 10], [5, 0, 25, 10], [50, 50, 60, 60], [52, 52, 54, 54], [3, 3, 3, 3]]
    assert seen_boxes(boxes).clear == pytest.approx([0.5, 0.75, 0.96, 0.0, 1.0])
    assert seen_boxes(boxes, [1, 0, 0, 1, 1]).clear == pytest.approx([1.0, 0.75, 0.96, 1.0, 1.0])
    assert seen_boxes([[0, 0, 10, 10], [1, 0, 11, 10], [5, 0, 15, 10]]).clear == pytest.approx([0.5, 0.4, 0.4])
    assert seen_boxes(boxes[:1]).clear.tolist() == [1.0]
    assert seen_boxes([]).clear.shape == (0,)


def test_likeness_learns_its_scale_from_any_backbone():
    rng = np.random.default_rng(0)
    for same, other in ((0.3, 0.9), (0.001, 0.004)):
        likeness = Likeness()
        for _ in range(400):
            distances = rng.normal(other, 0.02 * other, (4, 4))
            np.fill_diagonal(distances, same)
            likeness.learn(distances, [(n, n) for n in range(4)])
        assert likeness(np.array([same, other, (same + other) / 2])) == pytest.approx([1, 0, 0.5], abs=0.02)


def test_the_mean_vector_weighs_boxes_by_what_they_are_worth():
    identity = Identity(0, Motion.begin(np.array([0.0, 0, 1, 1])), 0.0, 0.0, 0.0)
    right, up = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    identity.remember(up, 0.01)
    identity.remember(right, 1.0)
    assert identity.vector @ right > 0.99  # the first vector was worth little
    for _ in range(3):
        identity.remember(up, 0.01)
    assert identity.vector @ right > 0.99
    for _ in range(60):
        identity.remember(up, 1.0)
    assert identity.vector @ up > 0.99
    assert np.linalg.norm(identity.vector) == pytest.approx(1)
    identity.remember(np.zeros(2), 1.0)
    assert np.isfinite(identity.vector).all()
