"""Labels and boxes that the other images contradict, on synthetic vectors and annotations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.linear_model import RidgeClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict

from argus_arena.audit.boxes import MATCH, Support, examine, judged
from argus_arena.audit.depths import compare
from argus_arena.audit.depths import judged as judged_depths
from argus_arena.audit.labels import assign_folds, judge
from argus_core.tasks.depth import DepthMaps
from argus_core.tasks.detect import Boxes, Detections


def planted(seed: int, count=300, classes=4, share=0.05):
    """Unit vectors about a centre per class, labels of which some are wrong, and which."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, classes, count)
    vectors = random.normal(size=(classes, 16))[truth] + 0.4 * random.normal(size=(count, 16))
    wrong = random.choice(count, round(share * count), replace=False)
    labels = truth.copy()
    labels[wrong] = (truth[wrong] + random.integers(1, classes, len(wrong))) % classes
    return F.normalize(torch.from_numpy(vectors).float(), dim=1), torch.from_numpy(labels), truth, wrong


@pytest.mark.parametrize("seed", range(3))
def test_planted_errors_come_first_with_the_true_class_in_any_order(seed):
    vectors, labels, truth, wrong = planted(seed)
    for order in (np.arange(300), np.random.default_rng(9).permutation(300)):
        found = judge(vectors[order], labels[order], 4, np.arange(300))
        assert {*order[found.doubtful[: len(wrong)]].tolist()} == {*wrong.tolist()}
        first = found.doubtful[: len(wrong)]
        assert found.suggested[first].tolist() == truth[order[first]].tolist()
        assert found.certain[first].float().mean() > 0.75
        assert not found.certain[[row for row in range(300) if order[row] not in wrong]].any()


def test_labels_are_predicted_as_well_as_by_another_ridge_classifier():
    vectors, labels, truth, _ = planted(0, share=0.2)
    found = judge(vectors, labels, 4, np.arange(300))
    other = cross_val_predict(RidgeClassifier(alpha=1.0), vectors.numpy(), labels.numpy(), cv=5)
    assert (found.suggested.numpy() == truth).mean() >= (other == truth).mean() - 0.02
    wrong = labels.numpy() != truth
    assert roc_auc_score(wrong, found.score) > 0.98


def test_a_copy_never_teaches_its_own_wrong_label():
    vectors, labels, _, wrong = planted(1)
    twice, both = torch.cat([vectors, vectors]), torch.cat([labels, labels])
    groups = np.concatenate([np.arange(300), np.arange(300)])
    parts = assign_folds(groups, both.numpy())
    assert (parts[:300] == parts[300:]).all() and {*parts.tolist()} == {0, 1, 2, 3, 4}
    found = judge(twice, both, 4, groups)
    assert {*found.doubtful[: 2 * len(wrong)]} == {*wrong.tolist(), *(wrong + 300).tolist()}


def test_the_only_image_of_a_class_is_not_judged():
    vectors, labels, _, _ = planted(2, share=0)
    labels[7] = 4
    found = judge(vectors, labels, 5, np.arange(300))
    assert not found.known[7] and int((~found.known).sum()) == 1 and 7 not in found.doubtful
    assert found.probabilities.sum(dim=1).allclose(torch.ones(300), atol=1e-5)


# ---- boxes


def boxes(*corners, labels=None) -> Boxes:
    values = np.array(corners, dtype=np.float64).reshape(-1, 4)
    own = np.array(labels or [0] * len(values), dtype=np.int64)
    return Boxes(values, own, np.zeros(len(values), dtype=bool), np.ones(len(values)))


def seen(*corners, scores=None, labels=None) -> Detections:
    values = torch.tensor(corners, dtype=torch.float32).reshape(-1, 4)
    count = len(values)
    return Detections(values, torch.tensor(scores or [0.9] * count), torch.tensor(labels or [0] * count))


GOOD = [(0, 0, 20, 20), (40, 0, 60, 20), (0, 40, 20, 60)]


def faults_of(truth, found):
    support = Support()
    for number in range(5):
        examine(number, boxes(*GOOD), seen(*GOOD), support)
    examine(5, truth, found, support)
    return judged(support)


def test_nothing_is_wrong_where_detector_and_annotations_agree():
    assert faults_of(boxes(*GOOD), seen(*GOOD)) == []
    assert faults_of(boxes(), seen()) == []


def test_a_removed_box_is_missing_and_proposed_once():
    [one] = faults_of(boxes(*GOOD[:2]), seen(*GOOD, (1, 41, 21, 61), scores=[0.9, 0.9, 0.95, 0.9]))
    assert (one.number, one.row, one.fault, one.score) == (5, -1, "missing", pytest.approx(0.95))
    assert one.box == GOOD[2]


def test_a_weak_detection_makes_no_missing_box():
    assert faults_of(boxes(*GOOD[:2]), seen(*GOOD, scores=[0.9, 0.9, 0.5])) == []


def test_an_added_box_is_needless_and_a_shifted_one_misplaced():
    [needless] = faults_of(boxes(*GOOD, (70, 70, 90, 90)), seen(*GOOD))
    assert (needless.fault, needless.row, needless.score, needless.box) == ("needless", 3, 1.0, None)
    moved = (0, 48, 20, 68)
    [misplaced] = faults_of(boxes(*GOOD[:2], moved), seen(*GOOD))
    assert (misplaced.fault, misplaced.row, misplaced.box) == ("misplaced", 2, GOOD[2])


def test_another_box_is_no_place_for_a_misplaced_one():
    beside = (9, 0, 29, 20)
    [one] = faults_of(boxes(*GOOD, beside), seen(*GOOD))
    assert one.fault == "needless" and MATCH == 0.5


def test_ignored_boxes_are_not_doubted_and_hide_what_lies_in_them():
    truth = boxes(*GOOD, (70, 70, 90, 90))
    truth.crowd[3] = True
    assert faults_of(truth, seen(*GOOD, (70, 70, 90, 90))) == [] == faults_of(truth, seen(*GOOD))


# ---- depth


def test_depth_in_another_unit_and_of_another_image_stand_out():
    random = torch.Generator().manual_seed(0)
    rows = []
    for number in range(20):
        depth = torch.rand(8, 8, generator=random) * 4 + 1
        noisy = depth * (1 + 0.1 * torch.rand(8, 8, generator=random))
        given = {3: depth * 10, 11: depth.flip(0)}.get(number, depth)
        full = given.repeat_interleave(4, 0).repeat_interleave(4, 1)
        rows.append((number, *compare(full, DepthMaps(noisy, torch.ones(8, 8), 4))))
    found = {one.number: one.kind for one in judged_depths(rows)}
    assert found == {3: "another scale", 11: "another shape"}
    assert compare(torch.zeros(32, 32), DepthMaps(torch.ones(8, 8), torch.ones(8, 8), 4)) is None
