"""The solved detector: nothing is trained, the solution is that of the closed forms, and it finds its class."""

import pytest
import torch
from torchvision.ops import box_iou

from argus_core import load_head, save_head
from argus_core.errors import ArgusError
from argus_core.registry import HEADS
from argus_core.saving.build import build_head
from argus_core.tasks.detect import BoxTarget, Detect
from argus_core.tokens import FeatureInfo
from argus_heads.analytic_person_detect import (
    AnalyticPerson,
    centre_cells,
    nearest_shape,
    shape_anchors,
    uncovered,
    window_means,
)

TASK = Detect.small()
INFO = FeatureInfo.vit(24)
CANVAS = (128, 192)


def scenes(images=12, canvas=CANVAS):
    tokens, targets = TASK.example(INFO, (-1,), canvas, images, torch.Generator().manual_seed(0))
    return [(tokens[[n]].features(AnalyticPerson.needs), [targets[n]]) for n in range(images)]


def fitted(batches, **options):
    head = AnalyticPerson(INFO, TASK, **{"target": "ring", **options})
    head.fit(batches)
    return head.eval()


@pytest.fixture(scope="module")
def batches():
    return scenes()


@pytest.fixture(scope="module")
def head(batches):
    return fitted(batches)


def test_size_and_that_nothing_is_trained(head, batches):
    large = AnalyticPerson(FeatureInfo.vit(768), Detect(classes=("dog", "person")))
    assert sum(value.numel() for value in large.buffers()) == 104_719 + 30
    assert large.target == "person" and not list(large.parameters()) and not large.trained and large.fitted
    features, _ = batches[0]
    features.map.requires_grad_()
    level = head(features).levels[0]
    features.map.requires_grad_(False)
    assert not any(x.requires_grad for x in (level.cls, level.ltrb, level.quality, *head.buffers()))


def test_the_order_of_shards_does_not_matter(head, batches):
    turned = fitted([*batches[7:], *batches[:7]])
    for name, value in head.state_dict().items():
        torch.testing.assert_close(turned.state_dict()[name], value, rtol=1e-6, atol=1e-7)  # buffers are float32


def test_it_finds_its_class_alone_in_images_it_has_not_seen(batches):
    head = fitted(batches[:8])
    hits = boxes = 0
    with torch.no_grad():
        for features, (target,) in batches[8:]:
            (found,) = head.decode(head(features), CANVAS)
            assert (found.labels == 1).all()
            wanted = target.boxes[target.labels == 1]
            sure = found.boxes[found.scores > 0.5]
            hits += int((box_iou(wanted, sure) > 0.5).any(dim=1).sum()) if len(sure) else 0
            boxes += len(wanted)
            others = target.boxes[target.labels != 1]
            assert not len(sure) or not (box_iou(others, sure) > 0.5).any()
    assert boxes >= 2 and hits == boxes


def test_planted_objects_are_found(batches):
    head = fitted(batches[:2] + batches[4:6])
    for features, (target,) in batches[:2] + batches[4:6]:
        (found,) = head.decode(head(features), CANVAS)
        wanted = target.boxes[target.labels == 1]
        fits = box_iou(wanted, found.boxes[found.scores > 0.5])
        assert not len(wanted) or (fits.amax(dim=1) > 0.5).all()


def test_scores_tell_cells_of_centres_from_background(head, batches):
    scores, labels = [], []
    for features, targets in batches:
        wanted = [targets[0].boxes[targets[0].labels == 1]]
        score = head(features).levels[0].cls[:, 1].sigmoid()
        inside = torch.zeros_like(score, dtype=torch.bool)
        inside[centre_cells(wanted, features.extent, 16)] = True
        used = head._mask(features)[:, 0] & (inside | uncovered(wanted, (8, 12), 16))
        scores.append(score[used])
        labels.append(inside[used])
    scores, labels = torch.cat(scores), torch.cat(labels)
    assert labels.sum() == sum(int((t.labels == 1).sum()) for _, (t,) in batches)
    assert scores[labels].min() > 0.9 and (scores[~labels] < 0.01).float().mean() > 0.9  # the rest are borders


def test_the_regressions_are_those_of_the_boxes(head, batches):
    """The mean residual of a regression with a free intercept is zero over the boxes it was solved on."""
    residuals = []
    for features, targets in batches:
        wanted = targets[0].boxes[targets[0].labels == 1]
        at = centre_cells([wanted], features.extent, 16)
        shape, offsets = head._regression_targets(at, wanted)
        x = head._inputs(features, head._mask(features)).permute(0, 2, 3, 1)[at]
        told = torch.einsum("gc,gcd->gd", torch.cat([x, torch.ones(len(x), 1)], dim=1), head.refine[shape])
        residuals += [(int(a), o - t) for a, o, t in zip(shape, offsets, told, strict=True)]
    for anchor in {anchor for anchor, _ in residuals}:
        of = torch.stack([residual for a, residual in residuals if a == anchor])
        assert of.mean(dim=0).abs().max() < 1e-4


def test_anchors_are_chosen_by_regressions_on_the_means_of_five_contexts(head, batches):
    features, _ = batches[1]  # with padding
    x, mask = head._inputs(features, head._mask(features)), head._mask(features)
    wanted = 0
    for window, weights in zip((1, 2, 4, 8, 0), head.choose, strict=True):
        wanted = wanted + torch.einsum("bchw,ca->bahw", window_means(x, mask, window), weights[:-1])
        wanted = wanted + weights[-1, :, None, None]
    found = head._shapes(x, mask)
    assert head.choose.abs().amax(dim=(1, 2)).min() > 0 and not mask.all()
    torch.testing.assert_close(found * mask, wanted * mask, atol=1e-5, rtol=1e-5)


def test_anchors_cover_upright_square_and_lying_boxes_of_every_size():
    sizes = torch.rand(1000, 2, generator=torch.Generator().manual_seed(0)) * 100 + 5
    anchors = shape_anchors(sizes, 5)
    assert anchors.shape == (15, 2)
    aspects, scales = anchors[:, 0] / anchors[:, 1], anchors.prod(dim=1).sqrt()
    torch.testing.assert_close(aspects.reshape(5, 3), torch.tensor([0.4, 1, 2.5]).double().expand(5, 3))
    roots = sizes.double().prod(dim=1).sqrt().sort().values.reshape(5, 200)
    torch.testing.assert_close(scales[::3], roots.median(dim=1).values, rtol=0.02, atol=0)
    for aspect, place in ((2.5, 2), (1.0, 1), (0.4, 0), (4.0, 2)):  # landscape is matched to landscape
        for scale in scales[::3]:
            box = torch.stack([scale * aspect**0.5, scale / aspect**0.5])[None]
            assert aspects[nearest_shape(box, anchors)].item() == pytest.approx((0.4, 1, 2.5)[place])
    centred = torch.cat([-sizes / 2, sizes / 2], dim=1).double()
    wanted = box_iou(centred, torch.cat([-anchors / 2, anchors / 2], dim=1)).argmax(dim=1)
    assert torch.equal(nearest_shape(sizes, anchors), wanted)


def test_window_means_count_cells_of_the_image_only():
    x = torch.randn(2, 3, 5, 7)
    mask = torch.ones(2, 1, 5, 7, dtype=torch.bool)
    mask[1, :, 3:], mask[1, :, :, 4:] = False, False
    x = x * mask
    assert torch.equal(window_means(x, mask, 1), x)
    torch.testing.assert_close(window_means(x, mask, 0)[1, :, 0, 0], x[1, :, :3, :4].mean(dim=(1, 2)))
    for window in (2, 4, 8):
        back, on = (window - 1) // 2, window // 2 + 1
        for n, i, j, rows, cols in (
            (0, 0, 0, 5, 7),
            (0, 4, 6, 5, 7),
            (0, 2, 3, 5, 7),
            (1, 2, 3, 3, 4),
            (1, 0, 1, 3, 4),
        ):
            part = x[n, :, max(0, i - back) : min(rows, i + on), max(0, j - back) : min(cols, j + on)]
            torch.testing.assert_close(window_means(x, mask, window)[n, :, i, j], part.mean(dim=(1, 2)))


def test_centre_cells_and_free_cells():
    boxes = [torch.tensor([[0.0, 0, 31, 32], [40, 20, 48, 40]]), torch.zeros(0, 4), torch.tensor([[30.0, 0, 50, 8]])]
    extent = torch.tensor([[40, 48], [48, 48], [48, 40]])
    image, row, column = centre_cells(boxes, extent, 16)
    assert [image.tolist(), row.tolist(), column.tolist()] == [[0, 0, 2], [1, 1, 0], [0, 2, 2]]
    assert centre_cells([torch.tensor([[32.0, 32, 48, 48]])], torch.tensor([[40, 40]]), 16)[1].tolist() == [2]
    free = uncovered(boxes, (3, 3), 16)
    assert free[0].tolist() == [[False, False, True], [False, False, True], [True, True, True]]
    assert free[1].all()


def test_a_target_that_is_not_there_is_refused_with_those_that_are():
    bloody = Detect(classes=("RBC", "WBC"))
    with pytest.raises(ArgusError, match=r"no class 'person' but RBC, WBC.*--set target=RBC"):
        AnalyticPerson(INFO, bloody, target="person")
    head = AnalyticPerson(INFO, bloody)
    assert head.target == "RBC" and "looks for 'RBC'" in head.notes()[0]
    assert AnalyticPerson(INFO, Detect(classes=("person",))).notes() == []


def test_a_class_without_boxes_is_refused_and_crowds_teach_nothing(batches):
    (features, (target,)), *_ = batches
    crowd = BoxTarget(target.boxes, torch.ones_like(target.labels), torch.ones_like(target.crowd))
    with pytest.raises(ArgusError, match="no box of 'ring'"):
        fitted([(features, [crowd])])


def test_it_travels_with_the_file_and_an_unfitted_one_finds_nothing(tmp_path, batches):
    features, (target,) = batches[0]
    HEADS.register("detect.analytic_under_test", AnalyticPerson)
    try:
        head = build_head("detect.analytic_under_test", INFO, TASK, {"target": TASK.classes[target.labels[0]]})
        assert not len(head.decode(head(features), CANVAS)[0].scores)
        head.fit(batches)
        save_head(tmp_path / "head.safetensors", head, {})
        loaded, _ = load_head(tmp_path / "head.safetensors")
    finally:
        HEADS.unregister("detect.analytic_under_test")
    before, after = (one.decode(one(features), CANVAS)[0] for one in (head, loaded))
    assert len(after.scores) and torch.equal(before.boxes, after.boxes) and torch.equal(before.scores, after.scores)
