"""Assigners against torchvision's FCOS and a literal reading of the ATSS paper."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torchvision.models.detection.fcos import FCOS
from torchvision.ops import box_iou

from argus_core.detection import (
    ATSS,
    IGNORE,
    Assigner,
    FCOSAssigner,
    Points,
    assign,
    boxes_to_ltrb,
    centerness,
    grid_points,
    ltrb_to_boxes,
)
from argus_core.detection.assign import BACKGROUND
from argus_core.tasks.detect import BoxTarget

STRIDES = (8, 16, 32, 64, 128)


def pyramid(height: int, width: int) -> Points:
    return grid_points([(-(-height // s), -(-width // s)) for s in STRIDES], STRIDES)


def random_boxes(count: int, size: int, seed: int, smallest: float = 8, largest: float = 400) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    side = smallest * (largest / smallest) ** torch.rand(count, 2, generator=generator)
    start = torch.rand(count, 2, generator=generator) * (size - side).clamp(min=0)
    return torch.cat([start, (start + side).clamp(max=size)], dim=1)


def target(boxes: Tensor, crowd: Tensor | None = None) -> BoxTarget:
    none = torch.zeros(len(boxes), dtype=torch.bool)
    return BoxTarget(boxes, torch.zeros(len(boxes), dtype=torch.long), none if crowd is None else crowd)


def atss_literal(points: Points, boxes: Tensor, topk: int = 9) -> list[int]:
    """Zhang 2020, algorithm 1, one box and one point at a time."""
    best = [(-1.0, BACKGROUND)] * len(points)
    xy, stride, level = points.xy.tolist(), points.stride.tolist(), points.level.tolist()
    for number, box in enumerate(boxes.tolist()):
        x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        chosen: list[int] = []
        for each in sorted(set(level)):
            members = [i for i in range(len(xy)) if level[i] == each]
            chosen += sorted(members, key=lambda i: (xy[i][0] - x) ** 2 + (xy[i][1] - y) ** 2)[:topk]
        overlaps = []
        for i in chosen:
            half = 4 * stride[i]
            anchor = [xy[i][0] - half, xy[i][1] - half, xy[i][0] + half, xy[i][1] + half]
            overlaps.append(float(box_iou(torch.tensor([box]), torch.tensor([anchor]))))
        threshold = float(torch.tensor(overlaps).mean() + torch.tensor(overlaps).std())
        for i, overlap in zip(chosen, overlaps, strict=True):
            px, py = xy[i]
            within = min(px - box[0], py - box[1], box[2] - px, box[3] - py) > 0.01
            if overlap >= threshold and within and overlap > best[i][0]:
                best[i] = (overlap, number)
    return [number for _, number in best]


@pytest.mark.parametrize("seed", range(4))
def test_atss_is_the_papers_algorithm(seed: int) -> None:
    points, boxes = pyramid(192, 256), random_boxes(40, 192, seed, largest=180)
    assert ATSS(force_one=False)(points, boxes).tolist() == atss_literal(points, boxes)


@pytest.mark.parametrize("seed", range(4))
def test_fcos_matches_torchvision(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    points, boxes = pyramid(640, 640), random_boxes(40, 640, seed, largest=640)
    backbone = nn.Identity()
    backbone.out_channels = 32
    model = FCOS(backbone, 2)
    taken = {}
    monkeypatch.setattr(model.head, "compute_loss", lambda *given: taken.update(matched=given[3]))
    half = points.stride[:, None] / 2
    anchors = torch.cat([points.xy - half, points.xy + half], dim=1)
    labels = torch.zeros(len(boxes), dtype=torch.long)
    model.compute_loss([{"boxes": boxes, "labels": labels}], {}, [anchors], points.level.bincount().tolist())
    ours = FCOSAssigner()(points, boxes)
    assert torch.equal(ours, taken["matched"][0])
    assert (ours >= 0).sum() > 100


@pytest.mark.parametrize("finer, reach", list(enumerate([64.0, 128.0, 256.0, 512.0])))
def test_fcos_gives_a_bound_to_the_finer_level(finer: int, reach: float) -> None:
    points = pyramid(640, 640)
    for level in range(5):
        point = (points.level == level).nonzero()[0, 0]
        x, y = points.xy[point].tolist()
        box = torch.tensor([[x - 2, y - 2, x + reach, y + 2]])
        assert (FCOSAssigner(radius=1e9)(points, box)[point] == 0) == (level == finer)


@pytest.mark.parametrize("side", [4, 6, 32])
def test_force_one_adopts_boxes_that_hold_no_point(side: int) -> None:
    points = pyramid(320, 320)
    start = torch.rand(60, 2, generator=torch.Generator().manual_seed(side)) * (320 - side)
    missed = 0
    for box in torch.cat([start, start + side], dim=1)[:, None]:
        plain, forced = ATSS(force_one=False)(points, box), ATSS()(points, box)
        missed += int((plain >= 0).sum() == 0)
        assert (forced >= 0).any()
        assert torch.equal(forced[plain >= 0], plain[plain >= 0])
        nearest = (points.xy - (box[:, :2] + box[:, 2:]) / 2).norm(dim=1)
        if (plain < 0).all():
            assert nearest[forced >= 0] == nearest.min()
    share = max(0, 1 - (side / 8) ** 2)  # how often a square holds no point of a grid 8 px apart
    assert missed / 60 == pytest.approx(share, abs=0.15)


def test_force_one_never_takes_a_point_from_another_box() -> None:
    points = pyramid(64, 64)
    boxes = torch.tensor([[20.0, 20.0, 23.0, 23.0]]).repeat(6, 1)
    matched = ATSS()(points, boxes)
    assert matched[matched >= 0].sort().values.tolist() == [0, 1, 2, 3, 4, 5]
    few = points[torch.arange(3)]
    assert (ATSS()(few, boxes) >= 0).all()  # more boxes than points: each point serves one


def test_a_single_point_is_enough() -> None:
    points = grid_points([(1, 1)], [16])
    assert ATSS()(points, torch.tensor([[0.0, 0.0, 16.0, 16.0]])).tolist() == [0]


@pytest.mark.parametrize("assigner", [ATSS(), FCOSAssigner()])
def test_padding_is_ignored_and_never_assigned(assigner: Assigner) -> None:
    points, extent = pyramid(256, 256), torch.tensor([160, 256])
    boxes = torch.tensor([[100.0, 90.0, 250.0, 160.0], [8.0, 120.0, 60.0, 160.0]])
    matched = assign(assigner, points, target(boxes), extent)
    padding = points.xy[:, 1] >= 160
    assert (matched[padding] == IGNORE).all() and (matched[~padding] != IGNORE).all()
    assert {0, 1} <= set(matched.tolist())
    # Candidates come from the image alone, so the padding's size changes nothing.
    cropped = pyramid(160, 256)
    same = cropped.within(extent)
    assert torch.equal(matched[~padding], assign(assigner, cropped, target(boxes), extent)[same])


@pytest.mark.parametrize("assigner", [ATSS(), FCOSAssigner()])
def test_crowds_are_ignored_but_do_not_hide_objects(assigner: Assigner) -> None:
    points, extent = pyramid(128, 128), torch.tensor([128, 128])
    boxes = torch.tensor([[0.0, 0.0, 80.0, 80.0], [20.0, 20.0, 60.0, 60.0], [90.0, 90.0, 120.0, 120.0]])
    matched = assign(assigner, points, target(boxes, torch.tensor([True, False, False])), extent)
    assert set(matched.tolist()) == {IGNORE, BACKGROUND, 1, 2}
    within = (boxes_to_ltrb(points.xy, boxes[0].expand(len(points), -1)) > 0).all(1)
    assert torch.equal(matched == IGNORE, within & (matched != 1) & (matched != 2))


@pytest.mark.parametrize("crowd", [None, torch.tensor([True])])
def test_nothing_to_find(crowd: Tensor | None) -> None:
    boxes = torch.zeros(0, 4) if crowd is None else torch.tensor([[0.0, 0.0, 32.0, 32.0]])
    matched = assign(ATSS(), pyramid(128, 128), target(boxes, crowd), torch.tensor([128, 128]))
    assert set(matched.tolist()) == ({BACKGROUND} if crowd is None else {BACKGROUND, IGNORE})


def test_points_are_cell_centres() -> None:
    points = grid_points([(2, 3), (1, 2)], [8, 16])
    first = [[4, 4], [12, 4], [20, 4], [4, 12], [12, 12], [20, 12]]
    assert points.xy.tolist() == [*first, [8, 8], [24, 8]]
    assert points.stride.tolist() == [8] * 6 + [16] * 2 and points.level.tolist() == [0] * 6 + [1] * 2


def test_box_coding_round_trip() -> None:
    xy, boxes = torch.rand(50, 2) * 100, random_boxes(50, 200, 0)
    torch.testing.assert_close(ltrb_to_boxes(xy, boxes_to_ltrb(xy, boxes)), boxes)


def test_centerness_values() -> None:
    ltrb = torch.tensor([[1.0, 1.0, 1.0, 1.0], [1.0, 2.0, 4.0, 2.0], [1.0, 1.0, 4.0, 4.0], [-1.0, 2.0, 4.0, 2.0]])
    assert centerness(ltrb).tolist() == [1, 0.5, 0.25, 1]
