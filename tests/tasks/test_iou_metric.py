"""Mean IoU: against torchmetrics and scikit-learn, by hand, and whatever order or process images come from."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, jaccard_score, precision_score
from torchmetrics.classification import MulticlassJaccardIndex

from argus_core.errors import ArgusError
from argus_core.tasks.segment import IoUMetric, Segmentation

GOLDEN = Path(__file__).resolve().parents[2].parent / "shared" / "golden" / "eval_reference_values.json"
CLASSES = ("wall", "floor", "bed", "lamp", "door")


def segmentation(labels):
    labels = torch.as_tensor(labels)
    return Segmentation(labels.long(), torch.ones(labels.shape))


def random_images(seed=0, images=6, classes=5):
    """Pairs of different sizes, right in about 60 % of the pixels; a class is rare, some pixels are ignored."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(images):
        size = tuple(rng.integers(5, 30, 2))
        truth = rng.choice(classes, size, p=np.arange(1, classes + 1) / np.arange(1, classes + 1).sum())
        guess = np.where(rng.random(size) < 0.6, truth, rng.integers(0, classes, size))
        truth = np.where(rng.random(size) < 0.2, 255, truth).astype(np.uint8)
        found.append((f"image{number}", segmentation(guess), truth))
    return found


def filled(images, classes=CLASSES, ignore=255):
    metric = IoUMetric(classes, ignore)
    for image in images:
        metric.update(*image)
    return metric


def pixels(images):
    """All labelled pixels of truth and prediction in a row."""
    truth = np.concatenate([truth.ravel() for _, _, truth in images])
    found = np.concatenate([prediction.labels.numpy().ravel() for _, prediction, _ in images])
    return truth[truth != 255], found[truth != 255]


@pytest.mark.parametrize("seed", range(3))
def test_scores_are_scikit_learn_s(seed):
    images = random_images(seed)
    truth, found = pixels(images)
    scores = filled(images).compute()
    assert scores["mIoU"] == pytest.approx(jaccard_score(truth, found, average="macro"), abs=1e-12)
    assert scores["mAcc"] == pytest.approx(balanced_accuracy_score(truth, found), abs=1e-12)
    assert scores["aAcc"] == pytest.approx(accuracy_score(truth, found), abs=1e-12)
    assert scores["dice"] == pytest.approx(f1_score(truth, found, average="macro"), abs=1e-12)
    assert scores["precision"] == pytest.approx(precision_score(truth, found, average="macro"), abs=1e-12)
    each = jaccard_score(truth, found, average=None)
    assert [scores[f"IoU/{name}"] for name in CLASSES] == pytest.approx(each.tolist(), abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_scores_are_torchmetrics_(seed):
    images = random_images(seed)
    peer = MulticlassJaccardIndex(len(CLASSES), ignore_index=255, average=None)
    for _, prediction, truth in images:
        peer.update(prediction.labels, torch.from_numpy(truth.astype(np.int64)))
    scores = filled(images).compute()
    assert [scores[f"IoU/{name}"] for name in CLASSES] == pytest.approx(peer.compute().tolist(), abs=1e-6)


def test_by_hand():
    truth = np.array([[0, 0, 0, 1], [1, 1, 255, 3]])
    guess = [[0, 0, 1, 1], [1, 2, 0, 3]]
    scores = filled([("a", segmentation(guess), truth)]).compute()
    assert [scores[f"IoU/{name}"] for name in CLASSES[:4]] == pytest.approx([2 / 3, 2 / 4, 0, 1])
    assert math.isnan(scores["IoU/door"])  # neither annotated nor predicted
    assert scores["mIoU"] == pytest.approx((2 / 3 + 1 / 2 + 0 + 1) / 4)
    assert scores["mAcc"] == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)
    assert scores["aAcc"] == pytest.approx(5 / 7)
    assert scores["precision"] == pytest.approx((1 + 2 / 3 + 0 + 1) / 4)
    assert scores["dice"] == pytest.approx((4 / 5 + 4 / 6 + 0 + 1) / 4)


def test_a_labelled_pixel_without_prediction_is_wrong():
    truth = np.array([[0, 0, 1, 1]])
    seen = filled([("a", segmentation([[0, 0, 1, 1]]), truth)]).compute()
    cut = filled([("a", segmentation([[0, 255, 1, 1]]), truth)]).compute()
    assert seen["mIoU"] == 1 and cut["IoU/wall"] == 0.5 and cut["IoU/floor"] == 1 and cut["aAcc"] == 0.75
    assert cut["precision"] == 1


def test_nothing_labelled_is_no_score():
    images = [("a", segmentation(torch.zeros(4, 5)), np.full((4, 5), 255))]
    for metric in (filled([]), filled(images)):
        assert all(math.isnan(value) for value in metric.compute().values())
    more = random_images()
    assert filled([*images, *more]).compute() == filled(more).compute()


def test_order_batches_and_processes_change_nothing():
    images = random_images(images=9)
    expected = filled(images).compute()
    assert filled(images[::-1]).compute() == expected
    for parts in ([images[:4], images[4:]], [images[1::2], [], images[::2]]):
        states = [json.loads(json.dumps(filled(part).state())) for part in parts]
        merged = IoUMetric(CLASSES, 255)
        merged.merge(states)
        assert merged.compute() == expected
        assert merged.state() == filled(images).state()


def test_an_image_twice_is_refused():
    images = random_images()
    metric = filled(images)
    with pytest.raises(ArgusError, match="'image2' is counted twice"):
        metric.update(*images[2])
    with pytest.raises(ArgusError, match="image5"):
        metric.merge([filled(images).state(), filled(images[5:]).state()])


@pytest.mark.parametrize(
    ("guess", "truth", "words"),
    [
        ([[0, 1]], np.array([[0], [1]]), r"\(1, 2\), the mask \(2, 1\)"),
        ([[0, 1]], np.array([[0, 5]]), "the mask has labels"),
        ([[0, 1]], np.array([[-1, 0]]), "the mask has labels"),
        ([[0, 1]], np.array([[0, 300]]), "the mask has labels"),
        ([[0, 6]], np.array([[0, 1]]), "the prediction has labels"),
        ([[0, -1]], np.array([[0, 1]]), "the prediction has labels"),
    ],
)
def test_what_does_not_fit_is_refused(guess, truth, words):
    metric = IoUMetric(CLASSES, 255)
    with pytest.raises(ArgusError, match=words):
        metric.update("a", segmentation(guess), truth)
    metric.update("a", segmentation([[0]]), np.array([[0]]))


@pytest.mark.parametrize("ignore", [255, -1, 5, 1000])
def test_any_ignored_index(ignore):
    images = random_images()
    other = [(key, guess, np.where(truth == 255, ignore, truth.astype(np.int64))) for key, guess, truth in images]
    assert filled(other, ignore=ignore).compute() == filled(images).compute()


def test_many_pixels_are_counted_exactly():
    parts = [IoUMetric(("a", "b"), 255) for _ in range(3)]
    for number, part in enumerate(parts):
        part.merge([{str(number): [[0, 1], [2**40, 2**40], [2**40 + 1, 2**40], [2**40, 2**40 + 1]]}])
    metric = IoUMetric(("a", "b"), 255)
    metric.merge([part.state() for part in parts])
    assert metric.compute()["aAcc"] == 2**41 / (2**41 + 1)
    assert metric.compute()["IoU/a"] == 2**40 / (2**40 + 1)


def test_the_published_names_are_ours():
    """Two pairs of the published scores are one number each; the images they were computed on are not published."""
    if not GOLDEN.exists():
        pytest.skip("the published scores are not here")
    scores = json.loads(GOLDEN.read_text())["seg_metrics"]
    assert scores["acc"] == scores["recall"] and scores["dice"] == scores["fscore"]
