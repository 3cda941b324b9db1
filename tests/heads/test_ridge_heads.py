"""Heads solved by ridge regression, against least squares written out cell by cell, and what few data make of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from argus_core.errors import ArgusError
from argus_core.nn import CELL_PENALTY, Moments, find_penalty
from argus_core.nn.closed_form import SHARPNESS
from argus_core.saving.build import build_head
from argus_core.tasks.classify import Classify, ClassTarget
from argus_core.tasks.depth import Depth, DepthTarget
from argus_core.tasks.segment import MaskTarget, Segment
from argus_core.testing import head_suite
from argus_core.tokens import FeatureInfo, Features
from kit_marks import SLOW_GRAPHS

VIT = FeatureInfo.vit(12)
PYRAMID = FeatureInfo((4, 6, 8), (8, 16, 32), prefix=0)
CLASSES = ("sky", "sea", "sand")
SEGMENT, DEPTH = Segment(classes=CLASSES), Depth(low=0.5, high=8.0)
CANVAS, STRIDE = (60, 90), 16  # neither side is a multiple of the stride
EXTENT = [(60, 90), (41, 70), (60, 33)]
GRID = (4, 6)

test_solved_heads_conform = head_suite("classify.ridge", "segment.ridge", "depth.ridge", marks=SLOW_GRAPHS)
test_discriminants_conform = head_suite("classify.ridge", "segment.ridge", options={"rule": "lda"}, marks=SLOW_GRAPHS)


def random(seed):
    return torch.Generator().manual_seed(seed)


def dense(seed=0, images=3):
    """Features of images of several extents, and the class and the depth of every cell by a plane through them."""
    generator = random(seed)
    maps = torch.randn(images, 12, *GRID, generator=generator) + 3
    extent = torch.tensor(EXTENT[:images])
    scores = torch.einsum("bchw,ck->bkhw", maps - 3, torch.randn(12, 3, generator=random(9)))
    return Features((maps,), (), extent, CANVAS), scores


def spread(cells):
    """(B, h, w) values of cells as pixels of the canvas."""
    return cells.repeat_interleave(STRIDE, 1).repeat_interleave(STRIDE, 2)[:, : CANVAS[0], : CANVAS[1]]


def masks(scores, extent, generator):
    """Labels of pixels: mostly their cell's, some random, some ignored, as padding is."""
    labels = spread(scores.argmax(1))
    labels = torch.where(torch.rand(labels.shape, generator=generator) < 0.2, torch.randint(3, labels.shape), labels)
    labels[torch.rand(labels.shape, generator=generator) < 0.1] = 255
    for each, (height, width) in zip(labels, extent.tolist(), strict=True):
        each[height:], each[:, width:] = 255, 255
    return labels


def line(x, y, weight, penalty):
    """Weights and intercept of the penalised least squares of ``y`` on ``x``, both centred, by numpy."""
    share = weight / weight.sum()
    x0, y0 = share @ x, share @ y
    root = np.sqrt(weight)[:, None]
    system = np.r_[root * (x - x0), np.sqrt(penalty) * np.eye(x.shape[1])]
    found = np.linalg.lstsq(system, np.r_[root * (y - y0), np.zeros((x.shape[1], y.shape[1]))], rcond=None)[0]
    return found, y0 - x0 @ found


@pytest.mark.parametrize("balance", [0.0, 0.5, 1.0])
def test_masks_are_the_least_squares_of_cells_by_the_shares_of_their_pixels(balance):
    features, scores = dense()
    labels = masks(scores, features.extent, random(1))
    head = build_head("segment.ridge", VIT, SEGMENT, {"balance": balance})
    head.fit([(features, [MaskTarget(each) for each in labels])])
    known = labels[labels < 3]
    counts = np.bincount(known, minlength=3)
    importance = (counts / counts.sum()) ** -balance
    importance /= importance[known].mean()
    x, y, weight = [], [], []
    for image in range(3):
        for row in range(GRID[0]):
            for column in range(GRID[1]):
                pixels = labels[image, row * 16 : row * 16 + 16, column * 16 : column * 16 + 16].flatten()
                share = np.bincount(pixels[pixels < 3], minlength=3) * importance
                if share.sum():
                    x.append(features.map[image, :, row, column].double().numpy())
                    y.append(share / share.sum())
                    weight.append(share.sum() / 16**2)
    x, y, weight = np.array(x), np.array(y), np.array(weight)
    moments = Moments.of(torch.from_numpy(np.c_[x, y]), torch.from_numpy(weight))
    slope, intercept = line(x, y, weight, find_penalty(moments, 12, CELL_PENALTY))
    np.testing.assert_allclose(head.weight.T, SHARPNESS * slope, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(head.bias, SHARPNESS * intercept, rtol=1e-4, atol=1e-5)
    logits = head(features).logits
    np.testing.assert_allclose(
        logits[1, :, 2, 3], SHARPNESS * (features.map[1, :, 2, 3].numpy() @ slope + intercept), rtol=1e-4
    )
    assert (logits.argmax(1) == scores.argmax(1)).float().mean() > 0.8


def test_depth_is_the_least_squares_of_the_mean_logarithm_of_known_pixels():
    features, scores = dense()
    logs = spread(scores[:, 0]) / 8 + 0.1 * torch.randn(3, *CANVAS, generator=random(1))
    depth = logs.exp() * (torch.rand(3, *CANVAS, generator=random(2)) < 0.3)
    depth[2, :32] = 0
    head = build_head("depth.ridge", VIT, DEPTH)
    head.fit([(features, [DepthTarget(each) for each in depth])])
    x, y, weight = [], [], []
    for image in range(3):
        for row in range(GRID[0]):
            for column in range(GRID[1]):
                pixels = depth[image, row * 16 : row * 16 + 16, column * 16 : column * 16 + 16]
                if pixels.any():
                    x.append(features.map[image, :, row, column].double().numpy())
                    y.append([float(pixels[pixels > 0].log().mean())])
                    weight.append(int((pixels > 0).sum()) / 16**2)
    x, y, weight = np.array(x), np.array(y), np.array(weight)
    penalty = find_penalty(Moments.of(torch.from_numpy(np.c_[x, y]), torch.from_numpy(weight)), 12, CELL_PENALTY)
    slope, intercept = line(x, y, weight, penalty)
    np.testing.assert_allclose(head.weight.T, slope, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(head.bias, intercept, rtol=1e-4)
    residuals = (y - x @ slope - intercept)[:, 0]
    assert float(head.deviation) == pytest.approx(np.sqrt(np.average(residuals**2, weights=weight)), rel=1e-4)
    (first, *_) = head.decode(head(features), CANVAS)
    assert first.depth[1, 2] == pytest.approx(np.exp(x[8] @ slope + intercept).item(), rel=1e-4)
    torch.testing.assert_close(first.spread, first.depth * head.deviation)


def test_depth_stays_within_the_range_of_the_task_whatever_the_tokens_are():
    features, scores = dense()
    head = build_head("depth.ridge", VIT, DEPTH)
    assert head.decode(head(features), CANVAS)[0].depth[0, 0] == pytest.approx(2.0)  # in the middle of 0.5 and 8
    head.fit([(features, [DepthTarget(each) for each in spread(scores[:, 0]).exp()])])
    wild = Features((1e6 * features.map,), (), features.extent, CANVAS)
    for maps in head.decode(head(wild), CANVAS):
        assert (
            maps.depth.min() == pytest.approx(0.5)
            and maps.depth.max() == pytest.approx(8)
            and maps.spread.isfinite().all()
        )


@pytest.mark.parametrize(("normalize", "rule"), [(True, "ridge"), (False, "ridge"), (True, "lda")])
def test_classes_are_those_of_a_regression_on_cls_tokens(normalize, rule):
    labels = torch.arange(60) % 3
    tokens = 5 * torch.randn(3, 12, generator=random(0))[labels] + torch.randn(60, 12, generator=random(1))
    head = build_head("classify.ridge", VIT, Classify(classes=CLASSES), {"normalize": normalize, "rule": rule})
    head.fit(in_batches(tokens, labels, 7))
    assert (head(classified(tokens)).argmax(1) == labels).all()
    same = head(classified(3 * tokens)).allclose(head(classified(tokens)), atol=1e-4)
    assert same == normalize
    if rule == "ridge":
        x = (F.normalize(tokens, dim=1) if normalize else tokens).double().numpy()
        y = np.eye(3)[labels]
        penalty = find_penalty(Moments.of(torch.from_numpy(np.c_[x, y])), 12)
        slope, intercept = line(x, y, np.ones(60), penalty)
        np.testing.assert_allclose(head(classified(tokens)), SHARPNESS * (x @ slope + intercept), atol=1e-3)


def classified(tokens):
    return Features((), (tokens,), torch.tensor([[32, 32]]).expand(len(tokens), 2), (32, 32))


def in_batches(tokens, labels, size):
    parts = zip(tokens.split(size), labels.split(size), strict=True)
    return [(classified(part), [ClassTarget(label) for label in own]) for part, own in parts]


def test_classes_without_data_are_told_and_never_chosen():
    labels = torch.arange(30) % 2
    tokens = torch.randn(30, 12, generator=random(0)) + 4 * labels[:, None]
    head = build_head("classify.ridge", VIT, Classify(classes=CLASSES))
    assert not head.notes() and not head(classified(tokens)).any()
    head.fit(in_batches(tokens, labels, 30))
    assert head.notes() == ["no images of the classes sand"]
    assert head(classified(100 * torch.randn(200, 12))).argmax(1).max() == 1
    features, scores = dense()
    head = build_head("segment.ridge", VIT, SEGMENT)
    head.fit([(features, [MaskTarget(each) for each in spread(scores.argmax(1).clamp(max=1))])])
    assert head.notes() == ["no pixels of the classes sand"] and head(features).logits.argmax(1).max() == 1


def test_one_image_of_each_class_makes_a_classifier_of_nearest_images():
    means = torch.randn(3, 200, generator=random(0))
    info, labels = FeatureInfo.vit(200), torch.arange(300) % 3
    tokens = means[labels] + torch.randn(300, 200, generator=random(1))
    head = build_head("classify.ridge", info, Classify(classes=CLASSES))
    head.fit(in_batches(tokens[:3], labels[:3], 1))
    unit = F.normalize(tokens, dim=1)
    nearest = (unit @ unit[:3].T).argmax(1)
    scores = head(classified(tokens)).softmax(1)
    assert (scores.argmax(1) == nearest).float().mean() > 0.95
    assert scores[3:].max(1).values.mean() > 0.4  # not a third, as if nothing were known


@pytest.mark.parametrize(
    ("name", "task", "nothing"),
    [
        ("segment.ridge", SEGMENT, MaskTarget(torch.full(CANVAS, 255))),
        ("depth.ridge", DEPTH, DepthTarget(torch.zeros(CANVAS))),
    ],
)
def test_annotations_that_say_nothing_are_refused(name, task, nothing):
    features, _ = dense(images=1)
    with pytest.raises(ArgusError, match=r"no (pixel|depth) of the training split is (labelled|known)"):
        build_head(name, VIT, task).fit([(features, [nothing])])


def test_a_balance_beyond_one_is_refused():
    with pytest.raises(ArgusError, match=r"balance=1.5 is not between 0"):
        build_head("segment.ridge", VIT, SEGMENT, {"balance": 1.5})


@pytest.mark.parametrize("name", ["segment.ridge", "depth.ridge"])
def test_a_pyramid_is_read_at_one_stride(name):
    head = build_head(name, PYRAMID, SEGMENT if name == "segment.ridge" else DEPTH)
    assert head.weight.shape[1] == 18 and head.taps.stride == 16
    finer = build_head(name, PYRAMID, head.task, {"stride": 8, "layers": (0, 1)})
    assert finer.weight.shape[1] == 10 and finer.taps.stride == 8


def size(value):
    """Numbers in nested tuples and in moments."""
    if isinstance(value, tuple):
        return sum(map(size, value))
    return value.mean.numel() + value.scatter.numel() if isinstance(value, Moments) else torch.as_tensor(value).numel()


@pytest.mark.parametrize("name", ["classify.ridge", "segment.ridge", "depth.ridge"])
def test_what_a_fit_keeps_does_not_grow_with_the_number_of_images(name, monkeypatch):
    """Sums are all that a head keeps of a batch, so that its memory is that of one batch and of one sum."""
    task = {"classify": Classify(classes=CLASSES), "segment": SEGMENT, "depth": DEPTH}[name.split(".")[0]]
    head, kept = build_head(name, VIT, task), []
    module = type(head).__module__
    total = __import__(module, fromlist=["total_over_batches"]).total_over_batches

    def watched(batches, part):
        found = total(batches, part)
        kept.append(size(found))
        return found

    monkeypatch.setattr(f"{module}.total_over_batches", watched)
    sizes = []
    for images in (2, 12):
        kept.clear()
        tokens, targets = task.example(VIT, head.needs.resolve(VIT).layers, (64, 96), images, random(0))
        head.fit([(tokens[[n]].features(head.needs), [targets[n]]) for n in range(images)])
        sizes.append(list(kept))
    assert sizes[0] == sizes[1]
