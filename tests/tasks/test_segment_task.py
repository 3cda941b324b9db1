"""Segmentation from mask to target to loss to prediction: against plain code, whatever the framing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from argus_core.canvas import Canvas, Flipped, Whole, Windows
from argus_core.errors import ArgusError
from argus_core.protocols import find_protocol
from argus_core.saving.build import task_from_dict, task_to_dict
from argus_core.tasks.segment import ClassMaps, DenseLogits, MaskTarget, Segment, Segmentation, cross_entropy

SHARED = Path(__file__).resolve().parents[2].parent / "shared"
TASK = Segment(classes=("wall", "floor", "bed", "lamp"))
FRAMINGS = [
    Canvas(64, 96),
    Canvas(96, 64),
    Canvas(64, 48, fit="stretch"),
    Canvas(48, fit="crop"),
    Windows(short=64, window=48, stride=30),
    Windows(short=40, window=64, stride=32),
    Whole(short=50),
    Flipped(Windows(short=64, window=48, stride=30)),
]


def blobs(size, classes=4, seed=0, ignored=0.1):
    """Smooth regions, so that nearest sampling at another resolution changes edges only; some are not labelled."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(1, classes, 4, 5, generator=generator)
    labels = F.interpolate(coarse, size, mode="bicubic", align_corners=False)[0].argmax(0).numpy().astype(np.uint8)
    labels[: round(size[0] * ignored)] = 255
    return labels


def random_logits(batch, grid, classes=4, seed=0):
    return torch.randn(batch, classes, *grid, generator=torch.Generator().manual_seed(seed))


def score(pairs, task=TASK):
    metric = task.metric()
    for number, (prediction, truth) in enumerate(pairs):
        metric.update(str(number), prediction, truth)
    return metric.compute()


@pytest.mark.parametrize("fit", ["letterbox", "stretch", "crop"])
@pytest.mark.parametrize("size", [(50, 80), (80, 50), (33, 33), (7, 90)])
def test_the_target_is_the_label_under_each_pixel_s_centre(fit, size):
    truth = blobs(size)
    place = Canvas(48, 64, fit=fit).place(*size)
    labels = TASK.target(truth, place).labels
    assert labels.shape == (48, 64) and labels.dtype == torch.long
    grid = np.stack(np.meshgrid(np.arange(64) + 0.5, np.arange(48) + 0.5), axis=-1)
    x, y = np.moveaxis(np.floor(place.points_to_image(grid)).astype(int), -1, 0)
    inside = (x >= 0) & (y >= 0) & (x < size[1]) & (y < size[0])
    expected = np.where(inside, truth[y.clip(0, size[0] - 1), x.clip(0, size[1] - 1)], 255)
    assert (labels.numpy() == expected).mean() > 0.999  # centres that fall on an edge may go either way
    rows, columns = place.extent
    assert (labels[rows:] == 255).all() and (labels[:, columns:] == 255).all()


def test_a_mirrored_placement_mirrors_the_target():
    truth = blobs((50, 80))
    place = Canvas(48, 64).place(50, 80)
    upright = TASK.target(truth, place).labels[:, : place.extent[1]]
    mirrored = TASK.target(truth, place.mirror()).labels[:, : place.extent[1]]
    assert (mirrored.flip(1) == upright).float().mean() > 0.97


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.int64, np.uint16])
def test_any_integer_mask_will_do_and_is_left_alone(dtype):
    truth = blobs((20, 30)).astype(dtype)
    truth.flags.writeable = False
    place = Canvas(32, 48).place(20, 30)
    assert torch.equal(TASK.target(truth, place).labels, TASK.target(truth.astype(np.int64), place).labels)
    strange = Segment(classes=TASK.classes, ignore=-1)
    assert set(strange.target(np.zeros((20, 30), dtype), place).labels.unique().tolist()) <= {0, -1}


@pytest.mark.parametrize(
    ("truth", "words"),
    [
        (np.full((20, 30), 4), "label 4 (600 pixels) is neither in 0..3 nor 255"),
        (np.full((20, 30), -1), "label -1"),
        (np.zeros((30, 20), np.uint8), "the mask is 30x20 (height x width), the image 20x30"),
        (np.zeros((20, 30), np.float32), "float32"),
        (np.zeros((20, 30, 3), np.uint8), "(20, 30, 3)"),
        ([[0]], "list"),
    ],
)
def test_unusable_masks_are_faults_and_refused(truth, words):
    assert words in TASK.fault(truth, (20, 30))
    with pytest.raises(ArgusError, match="cannot be used"):
        TASK.target(truth, Canvas(32).place(20, 30))


def test_many_strange_labels_are_shortened_and_good_masks_have_no_fault():
    assert ", ..." in TASK.fault(np.arange(600).reshape(20, 30), (20, 30))
    assert TASK.fault(blobs((20, 30)), (20, 30)) == ""
    assert TASK.fault(np.full((20, 30), 255), (20, 30)) == ""


def test_numbers_that_make_no_sense_are_refused():
    for values, words in (
        ({"classes": ()}, "distinct"),
        ({"classes": ("a", "a")}, "distinct"),
        ({"classes": ("a", "b"), "ignore": 1}, "'b'"),
    ):
        with pytest.raises(ArgusError, match=words):
            Segment(**values)
    assert task_from_dict(task_to_dict(TASK)) == TASK


def test_the_summary_counts_pixels():
    found = TASK.summary([np.array([[0, 0, 1, 255]]), np.array([[3, 255, 255, 255]], np.uint8)])
    assert found["ignored_share"] == 0.5
    assert found["class_shares"] == {"wall": 0.5, "floor": 0.25, "lamp": 0.25}
    assert found["classes_never_seen"] == ["bed"]
    json.dumps(found)
    assert TASK.summary([])["classes_never_seen"] == list(TASK.classes)


@pytest.mark.parametrize("size", [(64, 96), (70, 90)])
def test_the_loss_is_cross_entropy_of_the_enlarged_logits(size):
    grid = tuple(-(-n // 16) for n in size)
    logits = random_logits(2, grid).requires_grad_()
    labels = torch.stack([torch.from_numpy(blobs(size, seed=seed)).long() for seed in range(2)])
    output = DenseLogits(logits, 16, torch.tensor([size, size]))
    loss = TASK.loss(output, [MaskTarget(one) for one in labels])["cross_entropy"]
    whole = F.interpolate(logits, scale_factor=16, mode="bilinear", align_corners=False)[..., : size[0], : size[1]]
    torch.testing.assert_close(loss, F.cross_entropy(whole, labels, ignore_index=255))
    loss.backward()
    assert logits.grad.any()


def test_all_pixels_in_the_denominator_halve_the_loss_of_a_half_labelled_image():
    labels = torch.zeros(1, 32, 48, dtype=torch.long)
    labels[:, 16:] = 255
    output = DenseLogits(random_logits(1, (2, 3)), 16, torch.tensor([[32, 48]]))
    valid, every = (cross_entropy(output, [MaskTarget(labels[0])], 255, which) for which in ("valid", "all"))
    torch.testing.assert_close(every, valid / 2)
    whole = F.interpolate(output.logits, (32, 48), mode="bilinear", align_corners=False)
    official = F.cross_entropy(whole, labels, ignore_index=255, reduction="none").mean()
    assert abs(every - official) < 1e-6


@pytest.mark.parametrize("denominator", ["valid", "all"])
def test_nothing_labelled_costs_nothing(denominator):
    logits = random_logits(2, (3, 4)).requires_grad_()
    targets = [TASK.nothing((48, 64))] * 2
    loss = cross_entropy(DenseLogits(logits, 16, torch.tensor([[48, 64], [20, 64]])), targets, 255, denominator)
    loss.backward()
    assert loss == 0 and not logits.grad.any()


def test_padding_reaches_neither_loss_nor_prediction():
    extent = torch.tensor([[64, 40], [33, 96]])
    labels = [torch.randint(4, (64, 96), generator=torch.Generator().manual_seed(i)) for i in range(2)]
    for one, (rows, columns) in zip(labels, extent.tolist(), strict=True):
        one[rows:], one[:, columns:] = 255, 255
    logits = random_logits(2, (4, 6)).requires_grad_()
    other = logits.detach().clone()
    other[0, :, :, 3:], other[1, :, 3:] = 1e3, -1e3
    targets = [MaskTarget(one) for one in labels]
    first, second = (TASK.loss(DenseLogits(x, 16, extent), targets)["cross_entropy"] for x in (logits, other))
    assert torch.equal(first, second)
    first.backward()
    assert not logits.grad[0, :, :, 3:].any() and not logits.grad[1, :, 3:].any()
    assert logits.grad[0, :, :, :3].all() and logits.grad[1, :, :3].all()
    for a, b in zip(*(TASK.decode(DenseLogits(x, 16, extent), (64, 96)) for x in (logits, other)), strict=True):
        assert torch.equal(a.logits, b.logits)


def plain_windows(maps, size, short, window, stride):
    """Sliding-window inference written out: windows added where they lie, divided by how many, then enlarged."""
    scale = short / min(size)
    whole = [short if n == min(size) else round(n * scale) for n in size]
    corners = []
    for top in range(0, whole[0], stride):
        for left in range(0, whole[1], stride):
            corner = (max(min(top, whole[0] - window), 0), max(min(left, whole[1] - window), 0))
            corners += [corner] if corner not in corners else []
    total, count = torch.zeros(maps[0].shape[0], *whole), torch.zeros(whole)
    for (top, left), values in zip(corners, maps, strict=True):
        logits = F.interpolate(values[None], (window, window), mode="bilinear", align_corners=False)[0]
        total[:, top : top + window, left : left + window] += logits
        count[top : top + window, left : left + window] += 1
    assert count.min() >= 1
    return F.interpolate((total / count)[None], size, mode="bilinear", align_corners=False)[0].softmax(0)


@pytest.mark.parametrize("size", [(60, 80), (90, 47), (64, 64), (41, 200), (128, 171)])
def test_windows_are_plain_sliding_windows(size):
    framing = Windows(short=64, window=48, stride=32)
    places = framing.passes(*size)
    maps = [random_logits(1, (3, 3), seed=i)[0] for i in range(len(places))]
    expected = plain_windows(maps, size, 64, 48, 32)
    found = TASK.merge([ClassMaps(one, 16) for one in maps], places)
    torch.testing.assert_close(found.confidence, expected.amax(0), atol=1e-5, rtol=1e-5)
    margin = expected.topk(2, dim=0).values
    sure = margin[0] - margin[1] > 1e-5
    assert sure.float().mean() > 0.99 and torch.equal(found.labels[sure], expected.argmax(0)[sure])


def test_the_published_windows():
    """341 of 512: an image of 512 x 683 gets two windows, the second moved back by 170 pixels."""
    places = find_protocol("ade20k-slide-512-341-1").passes.passes(512, 683)
    assert [place.offset for place in places] == [(0, 0), (0, -171)]
    places = find_protocol("cityscapes-slide-512-341-1").passes.passes(1024, 2048)
    assert [-place.offset[1] for place in places] == [0, 341, 512]
    (place,) = find_protocol("ade20k-whole-512-1").passes.passes(480, 640)
    assert place.canvas_size == (512, 688) and place.extent == (512, 683)


@pytest.mark.parametrize("framing", FRAMINGS, ids=repr)
@pytest.mark.parametrize("size", [(64, 96), (75, 64), (33, 120)])
def test_an_oracle_scores_one(framing, size):
    """Logits that say the target, at canvas resolution, give the truth back but for resampled edges."""
    truth = blobs(size)
    places = framing.passes(*size)
    predictions = []
    for place in places:
        labels = TASK.target(truth, place).labels
        logits = 20 * F.one_hot(labels.clamp(max=4), 5)[..., :4].permute(2, 0, 1).float()
        TASK.check(ClassMaps(logits, 1), place.canvas_size)
        predictions.append(ClassMaps(logits, 1))
    found = TASK.merge(predictions, places)
    scores = score([(found, np.where(found.labels.numpy() == 255, 255, truth))])
    assert scores["aAcc"] > 0.9 and scores["mIoU"] > 0.6


def test_an_oracle_on_the_image_s_own_pixels_is_perfect():
    truth = blobs((64, 96))
    place = Canvas(64, 96).place(64, 96)
    logits = 20 * F.one_hot(TASK.target(truth, place).labels.clamp(max=4), 5)[..., :4].permute(2, 0, 1).float()
    scores = score([(TASK.to_image(ClassMaps(logits, 1), place), truth)])
    assert {scores[name] for name in ("mIoU", "mAcc", "aAcc", "dice", "precision")} == {1.0}


def test_pixels_that_no_pass_saw_have_no_class():
    place = Canvas(32, fit="crop").place(40, 80)
    found = TASK.to_image(ClassMaps(random_logits(1, (2, 2))[0], 16), place)
    unseen = found.labels == 255
    assert unseen[:, :15].all() and unseen[:, 65:].all() and not unseen[:, 25:55].any()
    assert (found.confidence[unseen] == 0).all() and (found.confidence[~unseen] >= 0.25).all()


def test_confidence_is_a_probability_also_of_huge_logits():
    place = Canvas(32).place(32, 32)
    logits = torch.tensor([1e4, 0.0, -1e4, 9e3])[:, None, None].expand(4, 2, 2)
    found = TASK.to_image(ClassMaps(logits, 16), place)
    assert (found.labels == 0).all() and (found.confidence == 1).all()
    assert logits.eq(logits[:, :1, :1]).all()


@pytest.mark.parametrize(
    "wrong",
    [
        ClassMaps(torch.zeros(3, 4, 6), 16),
        ClassMaps(torch.zeros(4, 4, 5), 16),
        ClassMaps(torch.zeros(4, 4, 6).long(), 16),
        ClassMaps(torch.full((4, 4, 6), torch.nan), 16),
        ClassMaps(torch.zeros(4, 4, 6), 0),
    ],
)
def test_malformed_predictions_are_told(wrong):
    TASK.check(ClassMaps(torch.zeros(4, 4, 6), 16), (64, 96))
    with pytest.raises(AssertionError):
        TASK.check(wrong, (64, 96))


def test_decoding_gives_one_map_per_image():
    output = DenseLogits(random_logits(3, (4, 6)), 16, torch.tensor([[64, 96]] * 3))
    found = TASK.decode(output, (64, 96))
    assert len(found) == 3 and all(torch.equal(a.logits, b) for a, b in zip(found, output.logits, strict=True))


def test_results_are_on_the_cpu_without_gradients():
    logits = random_logits(1, (2, 2))[0].requires_grad_()
    found = TASK.to_image(ClassMaps(logits, 16), Canvas(32).place(20, 30))
    assert isinstance(found, Segmentation) and not found.confidence.requires_grad
    assert found.labels.dtype == torch.long and found.labels.shape == found.confidence.shape == (20, 30)
