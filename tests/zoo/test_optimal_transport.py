"""Sinkhorn against POT and the linear assignment it approaches, and an assigner that follows the predictions."""

import ot
import pytest
import torch
from planted_help import COCO, VITB, ap50_after, make, scenes, size_of, stirred
from scipy.optimize import linear_sum_assignment
from torchvision.ops import box_iou, sigmoid_focal_loss

from argus_core.detection import ATSS, IGNORE, DenseHead, grid_points, ltrb_to_boxes
from argus_core.detection.assign import BACKGROUND
from argus_core.tasks.detect import BoxTarget
from argus_heads.experimental.optimal_transport import OTA, OptimalTransport, sinkhorn

POINTS = grid_points([(20, 20), (10, 10), (5, 5), (3, 3), (2, 2)], (8, 16, 32, 64, 128))


def random_boxes(count, seed=0, low=8.0, high=120.0, canvas=160.0):
    generator = torch.Generator().manual_seed(seed)
    sides = low * (high / low) ** torch.rand(count, 2, generator=generator)
    start = torch.rand(count, 2, generator=generator) * (canvas - sides)
    return torch.cat([start, start + sides], dim=1)


def predictions(boxes, labels, seed=0, points=POINTS, classes=3):
    """Logits and boxes of a head in training: near the truth in places, noise elsewhere."""
    generator = torch.Generator().manual_seed(seed)
    cls = torch.randn(len(points), classes, generator=generator) - 3
    ltrb = points.stride[:, None] * torch.randn(len(points), 4, generator=generator).exp() * 2
    return OTA(cls, ltrb_to_boxes(points.xy, ltrb), labels)


def dense_plan(cost, supply, demand, epsilon, steps):
    """The (G, N) plan where every row reaches every column."""
    at = torch.arange(cost.shape[1]).expand(len(cost) - 1, -1)
    plan, last = sinkhorn(cost[:-1], at, cost[-1], supply, demand, epsilon, steps)
    return torch.cat([plan, last[None]])


def dense_assignment(points, boxes, assigner):
    """Ge 2021 with all pairs in one matrix, those that are not allowed at a cost of a million."""
    iou, labels = box_iou(boxes, assigner.boxes), assigner.labels
    absent, present = (sigmoid_focal_loss(assigner.cls, torch.full_like(assigner.cls, goal)) for goal in (0, 1))
    allowed = assigner._allowed(points, boxes)
    cost = absent.sum(dim=1) + (present - absent)[:, labels].T - 1.5 * iou.clamp(min=1e-7).log() + 1e6 * ~allowed
    kernel = -torch.cat([cost, absent.sum(dim=1)[None]]).double() / 0.1
    units = assigner._units(iou, allowed).double()
    rows = torch.cat([units, len(points) - units.sum()[None]]).log()
    u = torch.zeros_like(rows)
    for _ in range(50):
        v = -(kernel + u[:, None]).logsumexp(dim=0)
        u = rows - (kernel + v).logsumexp(dim=1)
    plan = (kernel + u[:, None] + v).exp()
    share = plan / plan.amax(dim=1, keepdim=True)
    value, index = share[:-1].max(dim=0)
    return torch.where(value > share[-1], index, BACKGROUND)


@pytest.mark.parametrize(("count", "low", "high"), [(1, 20, 100), (7, 8, 120), (25, 6, 60)])
def test_looking_only_at_points_within_reach_changes_no_assignment(count, low, high):
    for seed in range(4):
        boxes = random_boxes(count, seed, low, high)
        assigner = predictions(boxes, torch.arange(count) % 3, seed)
        assert torch.equal(assigner(POINTS, boxes), dense_assignment(POINTS, boxes, assigner))


def test_the_size_is_that_of_the_light_head():
    assert size_of(OptimalTransport(VITB, COCO)) == 1_799_322


@pytest.mark.parametrize("seed", range(4))
def test_the_plan_is_that_of_pot(seed):
    generator = torch.Generator().manual_seed(seed)
    cost = torch.rand(5, 12, generator=generator, dtype=torch.float64) * 3
    supply = torch.tensor([1, 2, 1, 3, 5], dtype=torch.float64)
    demand = torch.ones(12, dtype=torch.float64)
    ours = dense_plan(cost, supply, demand, 0.1, 3000)
    for method in ("sinkhorn", "sinkhorn_log"):
        theirs = ot.sinkhorn(
            supply.numpy(), demand.numpy(), cost.numpy(), 0.1, method=method, stopThr=1e-14, numItermax=9000
        )
        torch.testing.assert_close(ours, torch.from_numpy(theirs), atol=1e-10, rtol=0)


@pytest.mark.parametrize("seed", range(4))
def test_without_entropy_the_cost_is_that_of_the_linear_assignment(seed):
    generator = torch.Generator().manual_seed(seed)
    cost = torch.rand(7, 7, generator=generator, dtype=torch.float64)
    one = torch.ones(7, dtype=torch.float64)
    rows, columns = linear_sum_assignment(cost.numpy())
    least = cost[rows, columns].sum()
    blurred, sharp = ((dense_plan(cost, one, one, eps, 3000) * cost).sum() - least for eps in (0.1, 0.005))
    assert -1e-3 < sharp < 0.02 and blurred > 0.1


def test_rows_are_exact_and_columns_close_after_fifty_steps(monkeypatch):
    seen = []

    def spy(cost, at, rest, supply, demand):
        plan, others = sinkhorn(cost, at, rest, supply, demand)
        columns = others.index_add(0, at.flatten(), plan.flatten())
        seen.append((torch.cat([plan.sum(dim=1), others.sum()[None]]), columns, supply, demand))
        return plan, others

    monkeypatch.setattr("argus_heads.experimental.optimal_transport.sinkhorn", spy)
    for seed in range(5):
        boxes = random_boxes(4, seed, low=24)
        predictions(boxes, torch.arange(4) % 3, seed)(POINTS, boxes)
    for rows, columns, supply, demand in seen:
        torch.testing.assert_close(rows, supply, rtol=1e-5, atol=0)
        assert float(supply.sum()) == len(POINTS)
        assert (columns - demand).abs().max() < 0.05


@pytest.mark.parametrize("count", [1, 5, 20])
@pytest.mark.parametrize(("low", "high"), [(2.0, 8.0), (8.0, 150.0)])
def test_boxes_find_points_and_points_lie_in_their_boxes(count, low, high):
    lonely = total = 0
    for seed in range(5):
        boxes = random_boxes(count, seed, low, high)
        matched = predictions(boxes, torch.arange(count) % 3, seed)(POINTS, boxes)
        assert matched.shape == (len(POINTS),) and matched.min() >= BACKGROUND and matched.max() < count
        lonely += count - len(matched[matched >= 0].unique())
        total += count
        if low >= 8:
            point = (matched >= 0).nonzero()[:, 0]
            mine = boxes[matched[point]]
            assert ((POINTS.xy[point] >= mine[:, :2] - 8) & (POINTS.xy[point] <= mine[:, 2:] + 8)).all()
    assert lonely <= 0.1 * total


def test_targets_follow_predictions_where_other_assigners_cannot():
    boxes, labels = random_boxes(3, low=40), torch.arange(3)
    first, second = (predictions(boxes, labels, seed)(POINTS, boxes) for seed in (1, 2))
    assert not torch.equal(first, second)
    head = make(OptimalTransport, width=16)
    features, targets = scenes(head)
    outputs = [head(features), stirred(head)(features)]
    points = outputs[0].points()
    assert torch.equal(*(DenseHead.assign(head, points, targets, output) for output in outputs))
    assert not torch.equal(*(head.assign(points, targets, output) for output in outputs))


def test_a_location_that_already_fits_is_preferred():
    boxes, labels = torch.tensor([[40.0, 40, 120, 120]]), torch.tensor([1])
    near = ((POINTS.xy - 80).abs().amax(dim=1) < 20).nonzero()[:, 0]
    for chosen in near.tolist():
        cls = torch.full((len(POINTS), 3), -4.6)
        predicted = torch.cat([POINTS.xy - 8, POINTS.xy + 8], dim=1)
        cls[chosen, 1], predicted[chosen] = 3, boxes[0]
        matched = OTA(cls, predicted, labels)(POINTS, boxes)
        assert matched[chosen] == 0
        wrong = OTA(cls, predicted, torch.tensor([2]))(POINTS, boxes)
        assert (wrong >= 0).sum() >= 1


def test_units_grow_with_overlap_from_one():
    boxes = torch.tensor([[20.0, 20, 140, 140]])
    units = []
    for fit in torch.linspace(0, 1, 9):
        predicted = torch.lerp(torch.cat([POINTS.xy, POINTS.xy + 1], dim=1), boxes[0], fit)
        assigner = OTA(torch.zeros(len(POINTS), 3), predicted, torch.tensor([0]))
        iou = box_iou(boxes, predicted)
        units.append(float(assigner._units(iou, assigner._allowed(POINTS, boxes))[0]))
    assert units == sorted(units) and units[0] == 1 and units[-1] == 20
    assert all(unit == int(unit) for unit in units)


def test_a_grid_with_fewer_points_than_boxes_is_shared_out():
    points = grid_points([(2, 2), (1, 1), (1, 1), (1, 1), (1, 1)], (8, 16, 32, 64, 128))
    boxes = random_boxes(30, low=1, high=15, canvas=16)
    matched = predictions(boxes, torch.arange(30) % 3, points=points)(points, boxes)
    assert matched.shape == (8,) and (matched >= BACKGROUND).all()
    assert len(matched.unique()) > 3


def test_crowds_and_padding_are_left_out():
    head = stirred(make(OptimalTransport, width=16))
    features, _ = scenes(head)
    boxes = torch.tensor([[10.0, 10, 50, 50], [60, 10, 90, 60], [0, 60, 40, 90]])
    target = BoxTarget(boxes, torch.tensor([2, 0, 1]), torch.tensor([True, False, False]))
    output = head(features)
    matched = head.assign(output.points(), [target, target], output)
    assert not (matched == 0).any() and (matched == 1).any() and (matched == 2).any()
    assert ((matched == IGNORE) >= ~output.points().within(features.extent)).all()
    assert all(term.isfinite() for term in head.loss(output, [target, target]).values())


def test_every_box_of_a_crowded_scene_is_served_where_atss_serves_it():
    served = []
    for seed in range(10):
        boxes = random_boxes(20, seed, low=16, high=60)
        matched = predictions(boxes, torch.arange(20) % 3, seed)(POINTS, boxes)
        served.append((len(matched.unique()) - 1, len(ATSS()(POINTS, boxes).unique()) - 1))
    ours, theirs = map(sum, zip(*served, strict=True))
    assert ours >= 0.97 * theirs


def test_planted_objects_are_found():
    assert ap50_after(make(OptimalTransport, width=32), steps=50, lr=6e-3) > 0.8
