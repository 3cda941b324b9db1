"""The solved detector of all classes: what it reads and is taught are those of loops, and it finds objects."""

import math

import pytest
import torch
from torchvision.ops import box_iou, roi_align

from argus_core.detection import grid_points
from argus_core.errors import ArgusError
from argus_core.nn import Moments
from argus_core.tasks.detect import BoxTarget, Detect
from argus_core.tokens import FeatureInfo, cell_mask
from argus_heads.closed_form_detect import (
    ClosedFormDetector,
    cell_windows,
    corrected,
    near_boxes,
    overlaps,
    region_points,
    shaken,
    teaching,
    whitening,
)

TASK = Detect.small()
INFO = FeatureInfo.vit(24)
CANVAS = (128, 192)


def scenes(images=16, task=TASK, seed=0):
    needs = ClosedFormDetector(INFO, task).needs
    tokens, targets = task.example(INFO, (-1,), CANVAS, images, torch.Generator().manual_seed(seed))
    return [(tokens[[n]].features(needs), [targets[n]]) for n in range(images)]


def fitted(batches, task=TASK, **options):
    head = ClosedFormDetector(INFO, task, **options)
    head.fit(batches)
    return head.eval()


def found(head, features):
    return head.decode(head(features), CANVAS)[0]


def target(boxes, labels, crowd=None):
    crowd = [False] * len(boxes) if crowd is None else crowd
    return BoxTarget(torch.tensor(boxes).float().view(-1, 4), torch.tensor(labels).long(), torch.tensor(crowd).bool())


@pytest.fixture(scope="module")
def batches():
    return scenes()


@pytest.fixture(scope="module")
def head(batches):
    return fitted(batches[:12])


def test_nothing_is_trained_and_an_unfitted_head_finds_nothing(batches):
    head = ClosedFormDetector(INFO, TASK)
    assert head.fitted and not head.trained and not list(head.parameters())
    assert not len(found(head, batches[0][0]).scores)


@pytest.mark.parametrize("names", [("disc", "ring", "star"), ("cell",)])
def test_objects_of_every_class_are_found_in_images_it_has_not_seen(names):
    task = Detect(classes=names)
    batches = scenes(48, task)
    head = fitted(batches[:40], task, size=6)
    hits, boxes, labels = 0, 0, set()
    for features, (truth,) in batches[40:]:
        seen = found(head, features)
        best = slice(len(truth.labels) + 1)
        hit = (box_iou(truth.boxes, seen.boxes[best]) > 0.5) & (truth.labels[:, None] == seen.labels[best])
        hits, boxes = hits + int(hit.any(dim=1).sum()), boxes + len(hit)
        labels |= set(truth.labels[hit.any(dim=1)].tolist())
    assert hits > 0.8 * boxes and len(labels) == len(names)


@pytest.mark.parametrize("images", [1, 2])
def test_few_images_give_boxes_like_theirs(images, batches):
    head = fitted(batches[:images])
    sides = torch.cat([t.boxes[:, 2:] - t.boxes[:, :2] for _, (t,) in batches[:images]])
    seen = found(head, batches[5][0])
    assert len(seen.scores) and all(value.isfinite().all() for value in head.buffers())
    best = seen.boxes[:3, 2:] - seen.boxes[:3, :2]
    assert (best > sides.min() / 2).all() and (best < 2 * sides.max()).all()
    for features, (truth,) in batches[:images]:  # and their own objects
        own = found(head, features)
        assert (box_iou(truth.boxes, own.boxes[:10]) > 0.5).any(dim=1).all()


def test_windows_are_the_cells_around_each_cell_as_the_convolution_reads_them(head, batches):
    features, _ = batches[1]  # with padding
    x = torch.randn(2, 5, 4, 6)
    windows, wide = cell_windows(x).view(2, 4, 6, 5, 3, 3), torch.zeros(2, 5, 6, 8)
    wide[:, :, 1:-1, 1:-1] = x
    for i, j in ((0, 0), (3, 5), (1, 2)):
        assert torch.equal(windows[:, i, j], wide[:, :, i : i + 3, j : j + 3])
    parts = head._components(features)
    points = grid_points([(8, 12)], [16])
    told = cell_windows(parts)[0] @ head.weight.flatten(1).T + head.bias
    box = head._proposals(parts, points)[0]
    torch.testing.assert_close((box[:, :2] + box[:, 2:]) / 2, points.xy + 16 * told[:, :2], rtol=1e-4, atol=1e-2)
    torch.testing.assert_close((box[:, 2:] - box[:, :2]).log(), told[:, 2:].clamp(0, 9), rtol=1e-4, atol=1e-3)
    inside = cell_mask(features.extent, 16, (8, 12))[0, 0]
    assert not parts[0, :, ~inside].any() and not inside.all()


def test_points_of_a_box_are_the_middles_of_the_ninths_of_the_enlarged_box():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 4, 8, 12, generator=generator)
    boxes = torch.tensor([[40.0, 30, 120, 90], [21, 60, 75, 70], [80, 20, 83, 22]])
    values = region_points(x, boxes.expand(2, -1, -1), 16).view(2, 3, 4, 3, 3)
    middle, half = (boxes[:, :2] + boxes[:, 2:]) / 2, 0.6 * (boxes[:, 2:] - boxes[:, :2])
    wide = torch.cat([middle - half, middle + half], dim=1)
    theirs = roi_align(x, [wide, wide], 3, 1 / 16, sampling_ratio=1, aligned=True).view(2, 3, 4, 3, 3)
    torch.testing.assert_close(values, theirs, rtol=1e-4, atol=1e-4)


def test_a_level_is_what_the_linear_answers_say(head, batches):
    features, _ = batches[1]
    parts, points = head._components(features), grid_points([(8, 12)], [16])
    proposals = head._proposals(parts, points)
    outputs = region_points(parts[:, :48], proposals, 16)[0] @ head.region_weight.T + head.region_bias
    level = head(features).levels[0]
    assert outputs.shape == (96, 3 + 6)
    posterior = outputs[:, :4].softmax(dim=1)[:, :3].T.view(3, 8, 12)
    torch.testing.assert_close(level.cls[0].sigmoid(), posterior, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(
        level.quality.flatten().sigmoid(), outputs[:, 4].clamp(1e-4, 1 - 1e-4), atol=1e-3, rtol=0
    )
    ltrb = level.ltrb[0].flatten(1).T
    boxes = torch.cat([points.xy - ltrb[:, :2], points.xy + ltrb[:, 2:]], dim=1)
    whole = (ltrb > 0).all(dim=1)  # the cell lies in the box
    told = corrected(proposals[0], outputs[:, 5:])
    assert whole.sum() > 20
    torch.testing.assert_close(boxes[whole], told[whole], atol=1e-2, rtol=1e-3)


def test_components_are_uncorrelated_of_variance_one_and_leave_out_what_is_constant():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(500, 6, generator=generator) @ torch.randn(6, 6, generator=generator) + 100
    x = torch.cat([x, torch.full((500, 2), 7.3)], dim=1)
    project = whitening(Moments.of(x), 8)
    parts = (x.double() - x.double().mean(dim=0)) @ project.T
    torch.testing.assert_close(parts.T @ parts / 500, torch.diag(torch.tensor([1.0] * 6 + [0, 0]).double()))
    power = whitening(Moments.of(x), 3)
    assert torch.equal(power, project[:3]) and (project[:6].norm(dim=1).diff() > 0).all()  # the largest variance first
    assert not whitening(Moments.of(torch.full((50, 4), 3.3)), 4).any()


BOXES = [
    [10, 20, 70, 60],
    [30, 30, 40, 36],
    [100, 0, 128, 96],
    [90, 50, 120, 90],  # a crowd
    [0, 60, 40, 110],
    [61, 61, 63, 62],
]
MANY = target(BOXES, [0, 1, 2, 1, 1, 0], [False, False, False, True, False, False])
POINTS = grid_points([(7, 8)], [16])


def test_cells_are_near_the_object_whose_centre_they_hold_or_are_next_to():
    near, told = near_boxes(MANY, POINTS, 16)
    assert 5 < near.sum() < 40
    for number, (x, y) in enumerate(POINTS.xy.tolist()):
        scores, held = [], []
        for (x1, y1, x2, y2), crowd in zip(BOXES, MANY.crowd.tolist(), strict=True):
            dx, dy = x - (x1 + x2) / 2, y - (y1 + y2) / 2
            far = (dx / max(x2 - x1, 1)) ** 2 + (dy / max(y2 - y1, 1)) ** 2
            scores.append(-1.0 if crowd else math.exp(-far / (2 * 0.2**2)))
            held.append(not crowd and max(abs(dx), abs(dy)) <= 8)
        owner = max(range(len(scores)), key=lambda g: (held[g], scores[g]))
        assert bool(near[number]) == (held[owner] or scores[owner] >= 0.4), number
        if near[number]:
            x1, y1, x2, y2 = BOXES[owner]
            box = [((x1 + x2) / 2 - x) / 16, ((y1 + y2) / 2 - y) / 16, math.log(x2 - x1), math.log(y2 - y1)]
            assert told[number].tolist() == pytest.approx(box, abs=1e-5)


def test_proposals_show_the_object_that_they_overlap_most():
    generator = torch.Generator().manual_seed(0)
    boxes = MANY.boxes[torch.randint(6, (200,), generator=generator)]
    proposals = boxes + 6 * torch.randn(200, 4, generator=generator)
    proposals = torch.cat([proposals[:, :2], torch.maximum(proposals[:, 2:], proposals[:, :2] + 1)], dim=1)
    label, overlap, correction = overlaps(MANY, proposals, 3)
    theirs = box_iou(proposals, MANY.boxes[~MANY.crowd])
    best, owner = theirs.max(dim=1)
    torch.testing.assert_close(overlap, best)
    expected = torch.where(best > 0.5, MANY.labels[~MANY.crowd][owner], 3)
    assert torch.equal(label, expected) and set(label.tolist()) == {0, 1, 2, 3}
    near = best > 0.6
    torch.testing.assert_close(
        corrected(proposals[near], correction[near]), MANY.boxes[~MANY.crowd][owner[near]], rtol=1e-4, atol=1e-2
    )


def test_boxes_are_shaken_in_all_ways_that_cancel():
    boxes = torch.tensor([[40.0, 40, 140, 90]]).expand(2, 36 * 36, 4)
    moved = shaken(boxes, 36)
    ways = torch.cat([(moved[..., :2] + moved[..., 2:]) / 2, moved[..., 2:] - moved[..., :2]], dim=2)[0]
    assert len(ways.mul(100).round().unique(dim=0)) == 81
    torch.testing.assert_close(ways[:, :2].mean(dim=0), torch.tensor([90.0, 65]), atol=0.2, rtol=0)
    torch.testing.assert_close((ways[:, :2] - torch.tensor([90.0, 65])).abs().amax(dim=0), torch.tensor([10.0, 5]))
    torch.testing.assert_close((ways[:, 2:] / torch.tensor([100.0, 50])).log().abs().amax(dim=0), torch.full((2,), 0.1))


def test_padding_and_crowds_teach_nothing():
    used = teaching([MANY, target([], [])], POINTS, torch.tensor([[100, 120], [60, 128]]))
    for number, (x, y) in enumerate(POINTS.xy.tolist()):
        assert bool(used[0, number]) == (x < 120 and y < 100 and not (90 < x < 120 and 50 < y < 90))
        assert bool(used[1, number]) == (y < 60)


def test_an_image_without_boxes_teaches_background():
    empty = target([], [])
    assert not near_boxes(empty, POINTS, 16)[0].any()
    label, overlap, correction = overlaps(empty, torch.rand(56, 4) * 100, 3)
    assert (label == 3).all() and not overlap.any() and correction.isfinite().all()


def test_the_regressions_of_boxes_leave_no_mean_error(head, batches):
    errors, corrections, points = [], [], grid_points([(8, 12)], [16])
    for features, (truth,) in batches[:12]:
        parts = head._components(features)
        used = teaching([truth], points, features.extent)[0]
        near, told = near_boxes(truth, points, 16)
        windows = cell_windows(parts)[0]
        errors.append((windows @ head.weight.flatten(1).T + head.bias - told)[near & used])
        proposals = shaken(head._proposals(parts, points), 12)
        label, _, correction = overlaps(truth, proposals[0], 3)
        answers = head._regions(parts, proposals)[0] @ head.region_weight[5:].T + head.region_bias[5:]
        corrections.append((answers - correction)[used & (label < 3)])
    errors, corrections = torch.cat(errors), torch.cat(corrections)
    assert len(errors) > 50 and errors.mean(dim=0).abs().max() < 1e-4 < errors.abs().mean()
    assert len(corrections) > 50 and corrections.mean(dim=0).abs().max() < 1e-4


def test_what_a_batch_gives_does_not_grow_with_its_images(head, batches):
    def numbers(moments):
        return [value.numel() for part in moments for value in (part.mean, part.scatter)]

    tokens, targets = TASK.example(INFO, (-1,), CANVAS, 12, torch.Generator().manual_seed(1))
    many = head._moments(tokens.features(head.needs), targets)
    assert numbers(many) == numbers(head._moments(*batches[0]))


def test_a_class_without_boxes_is_never_found_and_said(batches):
    task = Detect(classes=("ring", "star", "cross", "none"))
    lessons = [(features, [BoxTarget(t.boxes, t.labels, t.crowd) for t in targets]) for features, targets in batches]
    head = fitted(lessons, task)
    assert head.notes() == ["no boxes of the classes none"]
    assert not any((found(head, features).labels == 3).any() for features, _ in batches)


def test_without_boxes_or_components_there_is_nothing_to_solve(batches):
    features, (truth,) = batches[0]
    with pytest.raises(ArgusError, match="no image of the training split has a box"):
        fitted([(features, [BoxTarget(truth.boxes, truth.labels, torch.ones_like(truth.crowd))])])
    with pytest.raises(ArgusError, match="size=0"):
        ClosedFormDetector(INFO, TASK, size=0)
