"""Decoding against torchvision's FCOS, soft-NMS against the paper's loop."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torchvision.models.detection.fcos import FCOS
from torchvision.ops import batched_nms, box_iou

from argus_core.detection import DecodeOptions, grid_points, suppress
from argus_core.detection.postprocess import candidates, soft_nms

STRIDES = (8, 16, 32)
GRIDS = [(24, 32), (12, 16), (6, 8)]
CLASSES = 6


def crowded(seed: int, count: int = 200) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes in clusters, so that many overlap; labels of three classes."""
    generator = torch.Generator().manual_seed(seed)
    middle = torch.randint(1, 6, (count, 2), generator=generator) * 40 + 12 * torch.rand(count, 2, generator=generator)
    side = 20 + 30 * torch.rand(count, 2, generator=generator)
    boxes = torch.cat([middle - side / 2, middle + side / 2], 1)
    return boxes, torch.rand(count, generator=generator), torch.randint(3, (count,), generator=generator)


def levels(seed: int, shift: float = 2.0) -> list[tuple[Tensor, Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    return [
        (
            2 * torch.randn(CLASSES, h * w, generator=generator) - shift,
            5 * s * torch.rand(4, h * w, generator=generator) + 1,
            torch.randn(1, h * w, generator=generator),
        )
        for (h, w), s in zip(GRIDS, STRIDES, strict=True)
    ]


def soft_nms_literal(boxes: Tensor, scores: Tensor, labels: Tensor, iou: float) -> list[tuple[float, int]]:
    """Bodla 2017, linear weighting, class by class: (score, index), best first."""
    found = []
    for label in labels.unique().tolist():
        pool = {i: float(scores[i]) for i in range(len(boxes)) if labels[i] == label}
        while pool:
            best = max(pool, key=lambda i: pool[i])
            score = pool.pop(best)
            if score < 1e-3:
                break
            found.append((score, best))
            for i in pool:
                overlap = float(box_iou(boxes[best][None], boxes[i][None]))
                pool[i] *= 1 - overlap if overlap > iou else 1
    return sorted(found, reverse=True)


@pytest.mark.parametrize("seed", range(3))
def test_soft_nms_is_the_papers_loop(seed: int) -> None:
    boxes, scores, labels = crowded(seed)
    literal = soft_nms_literal(boxes, scores, labels, 0.5)
    index, decayed = soft_nms(boxes, scores, labels, 0.5, limit=1000)
    assert index.tolist() == [i for _, i in literal]
    assert decayed.tolist() == pytest.approx([s for s, _ in literal], abs=1e-6)
    short, _ = soft_nms(boxes, scores, labels, 0.5, limit=20)
    assert torch.equal(short, index[:20])
    assert (decayed < scores[index] - 1e-6).any()


def test_soft_nms_drops_what_decayed_away() -> None:
    boxes = torch.tensor([[0.0, 0.0, 10.0, 10.0]]).repeat(3, 1)
    index, _ = soft_nms(boxes, torch.tensor([0.5, 0.9, 0.4]), torch.tensor([0, 0, 1]), 0.5, 100)
    assert index.tolist() == [1, 2]  # the duplicate of the same class ends at 0
    assert len(soft_nms(boxes[:0], torch.zeros(0), torch.zeros(0, dtype=torch.long), 0.5, 100)[0]) == 0


@pytest.mark.parametrize("seed", range(3))
def test_hard_suppression_is_torchvisions(seed: int) -> None:
    boxes, scores, labels = crowded(seed, 400)
    keep = batched_nms(boxes, scores, labels, 0.5)
    found = suppress(boxes, scores, labels, DecodeOptions())
    assert len(keep) > 100 and len(found.scores) == 100
    assert torch.equal(found.boxes, boxes[keep[:100]]) and torch.equal(found.scores, scores[keep[:100]])


@pytest.mark.parametrize("options", [DecodeOptions(), DecodeOptions(score=0.3, candidates=50, iou=0.3, limit=7)])
def test_decoding_is_torchvisions(options: DecodeOptions) -> None:
    raw, extent = levels(0), torch.tensor([192, 256])
    backbone = nn.Identity()
    backbone.out_channels = 32
    model = FCOS(
        backbone,
        CLASSES,
        score_thresh=options.score,
        nms_thresh=options.iou,
        topk_candidates=options.candidates,
        detections_per_img=options.limit,
    )
    points = [grid_points([g], [s]) for g, s in zip(GRIDS, STRIDES, strict=True)]
    outputs = {
        "cls_logits": [cls.T[None] for cls, _, _ in raw],
        "bbox_regression": [ltrb.T[None] / s for (_, ltrb, _), s in zip(raw, STRIDES, strict=True)],
        "bbox_ctrness": [quality.T[None] for _, _, quality in raw],
    }
    anchors = [torch.cat([p.xy - s / 2, p.xy + s / 2], 1) for p, s in zip(points, STRIDES, strict=True)]
    theirs = model.postprocess_detections(outputs, [anchors], [(192, 256)])[0]
    each = [candidates(*maps, p, extent, options) for maps, p in zip(raw, points, strict=True)]
    ours = suppress(*(torch.cat(parts) for parts in zip(*each, strict=True)), options)
    torch.testing.assert_close(ours.boxes, theirs["boxes"])
    torch.testing.assert_close(ours.scores, theirs["scores"])
    assert torch.equal(ours.labels, theirs["labels"]) and len(ours.labels) == options.limit


@pytest.mark.parametrize("count", [1, 40, 5000])
@pytest.mark.parametrize("last", [False, True])
def test_candidates_are_the_best_of_all_scores(count: int, last: bool) -> None:
    (cls, ltrb, quality), points = levels(2)[0], grid_points(GRIDS[:1], STRIDES[:1])
    cls = cls.T.contiguous().T if last else cls
    extent = torch.tensor([192, 256])
    boxes, scores, labels = candidates(cls, ltrb, quality, points, extent, replace(DecodeOptions(), candidates=count))
    plain = (cls.sigmoid() * quality.sigmoid()).sqrt()
    values, order = plain.flatten().sort(descending=True)
    label, point = (part[values > 0.05][:count] for part in (order // len(points), order % len(points)))
    corners = torch.cat([points.xy[point] - ltrb[:2, point].T, points.xy[point] + ltrb[2:, point].T], dim=1)
    corners = corners.clamp(min=0).minimum(torch.tensor([256.0, 192.0, 256.0, 192.0]))
    expected = torch.cat([plain[label, point, None], label[:, None], corners], dim=1)
    found = torch.cat([scores[:, None], labels[:, None], boxes], dim=1)
    assert torch.equal(scores, expected[:, 0])
    assert sorted(found.tolist()) == sorted(expected.tolist())  # equal scores have no order


def test_padding_gives_no_candidates_and_clips() -> None:
    (cls, ltrb, quality), points = levels(1, shift=-2)[0], grid_points(GRIDS[:1], STRIDES[:1])
    extent = torch.tensor([100, 180])
    options = replace(DecodeOptions(), candidates=100_000)
    boxes, scores, labels = candidates(cls, ltrb, quality, points, extent, options)
    assert (boxes >= 0).all() and (boxes[:, 2] <= 180).all() and (boxes[:, 3] <= 100).all()
    assert (boxes[:, 2:] > boxes[:, :2]).all()
    expected = (cls.sigmoid() * quality.sigmoid()).sqrt()[:, points.within(extent)]
    assert torch.equal(scores.sort().values, expected[expected > 0.05].sort().values)
    assert len(labels) == len(scores)


def test_nothing_above_the_threshold() -> None:
    points = grid_points(GRIDS[:1], STRIDES[:1])
    count = len(points)
    cls = torch.full((CLASSES, count), -20.0)
    empty = candidates(
        cls, torch.ones(4, count), torch.zeros(1, count), points, torch.tensor([192, 256]), DecodeOptions()
    )
    for options in (DecodeOptions(), DecodeOptions(soft=True)):
        found = suppress(*empty, options)
        assert found.boxes.shape == (0, 4) and found.scores.shape == found.labels.shape == (0,)


@pytest.mark.parametrize("limit", [5, 60, 300])
@pytest.mark.parametrize("classes", [3, 50])
def test_of_many_boxes_the_first_are_those_of_all(classes: int, limit: int) -> None:
    """Few classes leave fewer boxes than wanted of the best ones, so that the others count, too."""
    boxes, scores, _ = crowded(0, 3000)
    labels = torch.randint(classes, (3000,), generator=torch.Generator().manual_seed(1))
    found = suppress(boxes, scores, labels, DecodeOptions(limit=limit))
    keep = batched_nms(boxes, scores, labels, 0.5)[:limit]
    assert torch.equal(found.boxes, boxes[keep]) and torch.equal(found.labels, labels[keep])
    assert torch.equal(found.scores, scores[keep])
