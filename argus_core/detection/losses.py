"""The objective of dense detectors: focal classification, GIoU, and centre-ness (FCOS, ATSS) or overlap."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import sigmoid_focal_loss

from argus_core.detection.assign import IGNORE
from argus_core.detection.geometry import boxes_to_ltrb, centerness, giou_loss, ltrb_to_boxes, paired_iou, positions
from argus_core.nn import batch_total
from argus_core.tasks.detect import BoxTarget


def without_crowds(targets: Sequence[BoxTarget]) -> list[BoxTarget]:
    """The targets without their crowd regions."""
    crowds = torch.stack([target.crowd.sum() for target in targets]).tolist()
    kept = [positions(~t.crowd, len(t.crowd) - crowd) for t, crowd in zip(targets, crowds, strict=True)]
    return [BoxTarget(t.boxes[k], t.labels[k], t.crowd[k]) for t, k in zip(targets, kept, strict=True)]


def object_total(targets: Sequence[BoxTarget]) -> Tensor:
    """The number of boxes in the batch without crowds, to normalise a loss: at least 1, the mean over processes."""
    return batch_total(torch.stack([(~target.crowd).sum() for target in targets]).sum())


Quality = Literal["centerness", "iou"]
"""What a location's quality measures: how central it is in its box, or how well its predicted box fits."""


def dense_losses(
    cls: Tensor,
    ltrb: Tensor,
    quality: Tensor,
    xy: Tensor,
    matched: Tensor,
    targets: Sequence[BoxTarget],
    kind: Quality = "centerness",
) -> dict[str, Tensor]:
    """``cls``, ``box`` and ``quality`` terms; without any box only ``cls`` is non-zero, none is detached.

    ``cls`` (B, N, K) and ``quality`` (B, N) are logits, ``ltrb`` (B, N, 4) and points ``xy`` (N, 2) canvas
    pixels; ``matched`` (B, N) comes from ``assign``. With centre-ness, central locations weigh more in ``box``.
    """
    positive, used = (matched >= 0).flatten(), (matched != IGNORE).flatten()
    count, counted = torch.stack([positive.sum(), used.sum()]).tolist()
    objects, considered = positions(positive, count), positions(used, counted)
    image, point = objects // matched.shape[1], objects % matched.shape[1]
    boxes, labels = _matched_targets(matched, image, point, targets)
    goals = torch.zeros_like(cls)
    goals.index_put_((image, point, labels), goals.new_ones(()))
    logits_and_goals = (x.flatten(0, 1)[considered] for x in (cls, goals))
    predicted = ltrb_to_boxes(xy[point], ltrb[image, point])
    giou = giou_loss(predicted, boxes)
    central = centerness(boxes_to_ltrb(xy[point], boxes))
    weight, goal = (
        (central, central)
        if kind == "centerness"
        else (torch.ones_like(central), paired_iou(predicted.detach(), boxes))
    )
    total = batch_total(cls.new_full((), count))
    return {
        "cls": sigmoid_focal_loss(*logits_and_goals, alpha=0.25, gamma=2, reduction="sum") / total,
        "box": (weight * giou).sum() / batch_total(weight.sum()),
        "quality": F.binary_cross_entropy_with_logits(quality[image, point], goal, reduction="sum") / total,
    }


def _matched_targets(
    matched: Tensor, image: Tensor, point: Tensor, targets: Sequence[BoxTarget]
) -> tuple[Tensor, Tensor]:
    """The (P, 4) boxes and (P,) labels of the positive locations."""
    starts = accumulate((len(t.boxes) for t in targets[:-1]), initial=0)
    first = torch.stack([matched.new_full((), start) for start in starts])  # no copy from the CPU
    index = matched[image, point] + first[image]
    return torch.cat([t.boxes for t in targets])[index], torch.cat([t.labels for t in targets])[index]
