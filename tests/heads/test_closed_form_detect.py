"""The solved detector of all classes: windows, lessons and solutions are those of loops, and it finds objects."""

import math

import numpy as np
import pytest
import torch
from torchvision.ops import box_iou

from argus_core.errors import ArgusError
from argus_core.nn import Moments
from argus_core.tasks.detect import BoxTarget, Detect
from argus_core.tokens import FeatureInfo, cell_mask
from argus_heads.closed_form_detect import ClosedFormDetector, cell_windows, teach, whitening

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
    windows, wide = cell_windows(x), torch.zeros(2, 5, 6, 8)
    wide[:, :, 1:-1, 1:-1] = x
    for i, j in ((0, 0), (3, 5), (1, 2)):
        assert torch.equal(windows[:, i, j], wide[:, :, i : i + 3, j : j + 3])
    parts = head._components(features)
    outputs = cell_windows(parts)[0].flatten(2) @ head.weight.flatten(1).T + head.bias
    level = head(features).levels[0]
    posterior = outputs[..., :4].softmax(dim=-1)[..., :3].permute(2, 0, 1)
    torch.testing.assert_close(level.cls[0].sigmoid(), posterior, atol=1e-4, rtol=1e-4)
    sides = outputs[..., 7:].exp().permute(2, 0, 1)
    inside = cell_mask(features.extent, 16, (8, 12))[0, 0]
    whole = inside & (level.ltrb[0] > 0).all(dim=0)  # the centre is not moved out of the box
    torch.testing.assert_close((level.ltrb[0, :2] + level.ltrb[0, 2:])[:, whole], sides[:, whole], rtol=1e-4, atol=1e-3)
    assert not head._components(features)[0, :, ~inside].any() and not inside.all()


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


def by_loops(target, extent, stride, grid, classes, every):
    """The lessons, cell by cell and box by box."""
    for i in range(grid[0]):
        for j in range(grid[1]):
            x, y = (j + 0.5) * stride, (i + 0.5) * stride
            scores, held = [], []
            for (x1, y1, x2, y2), crowd in zip(target.boxes.tolist(), target.crowd.tolist(), strict=True):
                dx, dy = x - (x1 + x2) / 2, y - (y1 + y2) / 2
                far = (dx / max(x2 - x1, 1)) ** 2 + (dy / max(y2 - y1, 1)) ** 2
                scores.append(-1.0 if crowd else math.exp(-far / (2 * 0.2**2)))
                held.append(not crowd and max(abs(dx), abs(dy)) <= stride / 2)
            inside = [x1 < x < x2 and y1 < y < y2 for x1, y1, x2, y2 in target.boxes.tolist()]
            crowded = any(a and c for a, c in zip(inside, target.crowd.tolist(), strict=True))
            used = x < extent[1] and y < extent[0] and not crowded
            owner = max(range(len(scores)), key=lambda g: (held[g], scores[g]), default=None)
            centre = max([0.0, *scores])
            shows = owner is not None and (held[owner] or scores[owner] > 0.6)
            near = owner is not None and (held[owner] or scores[owner] >= 0.4)
            sampled = (2 * i + j) % every == 0
            weight = used * (float(sampled) if centre < 0.01 and not shows else 1 / every)
            yield i, j, weight, used and near, int(target.labels[owner]) if shows else classes, centre, owner


@pytest.mark.parametrize("every", [1, 4])
def test_lessons_are_those_of_loops_over_cells_and_boxes(every):
    boxes = [
        [10, 20, 70, 60],
        [30, 30, 40, 36],
        [100, 0, 128, 96],
        [90, 50, 120, 90],
        [0, 60, 40, 110],
        [61, 61, 63, 62],
    ]
    one = target(boxes, [0, 1, 2, 1, 1, 0], [False, False, False, True, False, False])
    extent = torch.tensor([100, 120])
    lessons = teach(one, extent, 16, (7, 8), 3, every)
    marks = list(by_loops(one, extent, 16, (7, 8), 3, every))
    assert len(marks) == 56 and {label for *_, label, _, _ in marks} == {0, 1, 2, 3}
    for i, j, weight, near, label, centre, owner in marks:
        assert lessons.weight[i, j] == weight and bool(lessons.near[i, j]) == near, (i, j)
        assert lessons.centre[i, j].item() == pytest.approx(centre, abs=1e-5)
        if weight:
            assert lessons.label[i, j] == label, (i, j)
        if near:
            x1, y1, x2, y2 = boxes[owner]
            middle = np.array([(x1 + x2) / 2, (y1 + y2) / 2])
            box = [*((middle / 16) - [j + 0.5, i + 0.5]), math.log(x2 - x1), math.log(y2 - y1)]
            assert lessons.box[i, j].tolist() == pytest.approx(box, abs=1e-5)


def test_an_image_without_boxes_teaches_background_and_a_crowd_nothing():
    extent = torch.tensor([64, 64])
    empty = teach(target([], []), extent, 16, (4, 4), 3, 4)
    assert (empty.label == 3).all() and not empty.near.any() and not empty.centre.any()
    assert empty.weight.tolist() == [[1, 0, 0, 0], [0, 0, 1, 0]] * 2
    crowd = teach(target([[0, 0, 64, 64]], [1], [True]), extent, 16, (4, 4), 3)
    assert not crowd.weight.any() and not crowd.near.any()


def test_the_regression_of_boxes_leaves_no_mean_error(head, batches):
    errors = []
    for features, (truth,) in batches[:12]:
        windows = cell_windows(head._components(features))[0].flatten(2)
        lessons = teach(truth, features.extent[0], 16, (8, 12), 3)
        told = windows[lessons.near] @ head.weight[5:].flatten(1).T + head.bias[5:]
        errors.append(told - lessons.box[lessons.near])
    errors = torch.cat(errors)
    assert len(errors) > 50 and errors.mean(dim=0).abs().max() < 1e-4 < errors.abs().mean()


def test_what_a_batch_gives_does_not_grow_with_its_images(head, batches):
    def numbers(moments):
        return [value.numel() for part in moments for value in (part.mean, part.scatter)]

    tokens, targets = TASK.example(INFO, (-1,), CANVAS, 12, torch.Generator().manual_seed(1))
    many = head._moments(tokens.features(head.needs), targets, 1)
    assert numbers(many) == numbers(head._moments(*batches[0], 1))


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
