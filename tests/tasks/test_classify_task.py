"""Classification: targets, scores and accuracy against scikit-learn and torchmetrics."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, top_k_accuracy_score
from torchmetrics.functional.classification import multiclass_accuracy

from argus_core.canvas import Canvas
from argus_core.errors import ArgusError
from argus_core.tasks.classify import Classes, Classify, ClassTarget

NAMES = tuple("abcdefgh")
TASK = Classify(classes=NAMES)
PLACE = Canvas(32).place(20, 30)


def filled(scores, truths, keys=None):
    metric = TASK.metric()
    for number, (row, truth) in enumerate(zip(scores, truths, strict=True)):
        metric.update(keys[number] if keys else str(number), Classes(torch.from_numpy(row)), int(truth))
    return metric


@pytest.fixture(scope="module")
def drawn():
    random = np.random.default_rng(0)
    truths = random.integers(0, 7, 200)  # the last class has no images
    return random.normal(size=(200, 8)) + 2 * np.eye(8)[truths], truths


def test_accuracy_is_that_of_scikit_learn_and_torchmetrics(drawn):
    scores, truths = drawn
    found = filled(scores, truths).compute()
    assert found["top1"] == pytest.approx(top_k_accuracy_score(truths, scores, k=1, labels=range(8)))
    assert found["top5"] == pytest.approx(top_k_accuracy_score(truths, scores, k=5, labels=range(8)))
    seen = scores[:, :7].argmax(1)  # scikit-learn warns of predictions without truths
    assert filled(np.eye(8)[seen], truths).compute()["mean_class"] == pytest.approx(
        balanced_accuracy_score(truths, seen)
    )
    per_class = multiclass_accuracy(torch.from_numpy(scores), torch.from_numpy(truths), 8, average=None)
    for label in range(7):
        assert found[f"class/{NAMES[label]}"] == pytest.approx(float(per_class[label]), abs=1e-6)
    assert math.isnan(found["class/h"])


def test_batches_and_processes_change_nothing(drawn):
    scores, truths = drawn
    keys = [str(n) for n in range(200)]
    whole = filled(scores, truths)
    parts = [filled(scores[n::3], truths[n::3], keys[n::3]) for n in (2, 0, 1)]
    merged = TASK.metric()
    merged.merge([part.state() for part in parts])
    np.testing.assert_equal(merged.compute(), whole.compute())
    with pytest.raises(ArgusError, match="counted twice"):
        merged.merge([parts[0].state(), parts[0].state()])
    with pytest.raises(ArgusError, match="counted twice"):
        whole.update("3", Classes(torch.zeros(8)), 0)


def test_oracles_are_right_and_nothing_scores_nothing():
    truths = np.arange(8)
    assert set(filled(np.eye(8), truths).compute().values()) == {1.0}
    assert all(math.isnan(value) for value in TASK.metric().compute().values())


def test_of_equal_scores_the_smaller_index_comes_first():
    scores = np.zeros((2, 8))
    assert filled(scores, [0, 1]).compute()["top1"] == 0.5
    assert Classes(torch.zeros(8)).top(3) == [(0, 0.0), (1, 0.0), (2, 0.0)]


def test_margin_is_best_minus_second_best():
    assert Classes(torch.tensor([0.1, 0.7, 0.2])).margin == pytest.approx(0.5)
    assert Classes(torch.tensor([0.25])).margin == pytest.approx(0.25)


def test_passes_are_averaged():
    one, other = Classes(torch.tensor([0.2, 0.8])), Classes(torch.tensor([0.6, 0.4]))
    merged = TASK.merge([one, other], [PLACE, PLACE.mirror()])
    torch.testing.assert_close(merged.scores, torch.tensor([0.4, 0.6]))


@pytest.mark.parametrize("label", [-1, 8, 2.0, "a", True])
def test_labels_that_are_none_of_the_classes_are_refused(label):
    with pytest.raises(ArgusError, match="cannot be used"):
        TASK.target(label, PLACE)


def test_loss_is_cross_entropy():
    logits = torch.randn(4, 8, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 3, 3, 7])
    loss = TASK.loss(logits, [ClassTarget(label) for label in labels])["cross_entropy"]
    torch.testing.assert_close(loss, -logits.log_softmax(1)[range(4), labels].mean())


def test_summary_counts_and_names_what_is_missing():
    found = TASK.summary(iter([0, 0, 3]))
    assert found["images_per_class"]["a"] == 2 and found["classes_without_images"] == list("bcefgh")
    assert TASK.summary(iter([]))["images_per_class"]["a"] == 0


def test_class_names_must_be_distinct():
    with pytest.raises(ArgusError, match="distinct"):
        Classify(classes=("a", "a"))
    with pytest.raises(ArgusError, match="distinct"):
        Classify(classes=())


def test_at_least_one_class_is_named():
    with pytest.raises(ArgusError, match="1 or more, not 0"):
        Classify(classes=("cat", "dog")).result(
            Classes(torch.tensor([0.5, 0.5])), np.zeros((4, 4, 3), np.uint8), top_k=0
        )
