"""Selecting the few detections of an image from dense scores and boxes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import batched_nms, box_iou

from argus_core.detection.geometry import Points, ltrb_to_boxes
from argus_core.tasks.detect import Detections

SOFT_FLOOR = 1e-3
"""Soft suppression drops a box once its score has decayed below this."""
FEW, AHEAD = 1000, 4
"""torchvision suppresses more boxes than ``FEW`` in a loop over classes, which takes longer than to look at ``AHEAD``
times as many of the best as are wanted, all with all."""
ROUND = 20
"""Boxes that soft suppression takes between two checks for any that are left."""


@dataclass(frozen=True)
class DecodeOptions:
    """Which boxes to keep: scores above ``score``, ``candidates`` per level, ``limit`` per image after suppression.

    Boxes of one class that overlap a better one by more than ``iou`` are removed, or with ``soft`` lose score
    in proportion to the overlap (linear soft-NMS, Bodla 2017).
    """

    score: float = 0.05
    candidates: int = 1000
    iou: float = 0.5
    soft: bool = False
    limit: int = 100


def candidates(
    cls: Tensor, ltrb: Tensor, quality: Tensor, points: Points, extent: Tensor, options: DecodeOptions
) -> tuple[Tensor, Tensor, Tensor]:
    """One image's boxes, scores and labels of one level: the best above the threshold, clipped to the image.

    ``cls`` (K, N) and ``quality`` (1, N) are logits, ``ltrb`` (4, N) canvas pixels; a score is the root of
    the product of both probabilities. Points beyond ``extent`` (2: height, width) are left out.
    """
    classes, quality = cls.sigmoid(), quality.masked_fill(~points.within(extent), -torch.inf).sigmoid()
    # The best scores lie among as many points with the best maxima.
    best = (classes.amax(dim=0) * quality[0]).sqrt()  # (N,)
    found = (best > options.score).nonzero()[:, 0]
    found = found[best[found].topk(min(options.candidates, len(found)), sorted=False).indices]
    scores = (classes[:, found] * quality[:, found]).sqrt().flatten()  # (K * found,)
    values, order = scores.topk(min(options.candidates, len(scores)))
    values = values[values > options.score]
    order = order[: len(values)]
    label, point = order // len(found), found[order % len(found)]
    boxes = ltrb_to_boxes(points.xy[point], ltrb[:, point].T)
    return torch.minimum(boxes.clamp(min=0), extent.flip(0).repeat(2)), values, label


def suppress(boxes: Tensor, scores: Tensor, labels: Tensor, options: DecodeOptions) -> Detections:
    """The non-redundant boxes among (N, 4), (N,), (N,), best first."""
    if options.soft:
        keep, scores = soft_nms(boxes, scores, labels, options.iou, options.limit)
        return Detections(boxes[keep], scores, labels[keep])
    crowd = len(boxes) > FEW and boxes.device.type == "cpu"
    keep = _first_kept(boxes, scores, labels, options) if crowd else batched_nms(boxes, scores, labels, options.iou)
    keep = keep[: options.limit]
    return Detections(boxes[keep], scores[keep], labels[keep])


def _first_kept(boxes: Tensor, scores: Tensor, labels: Tensor, options: DecodeOptions) -> Tensor:
    """The indices that ``batched_nms`` keeps of many boxes, class by class; at least ``limit`` if there are as many.

    Whether a box is kept depends on better ones alone, so that the best are looked at first.
    """
    best = scores.argsort(descending=True, stable=True)[: AHEAD * options.limit]
    rivals = (box_iou(boxes[best], boxes[best]) > options.iou) & (labels[best] == labels[best][:, None])
    left, kept = np.ones(len(best), dtype=bool), list[int]()
    for place, row in enumerate(rivals.numpy()):
        if left[place]:
            kept.append(place)
            left &= ~row
    whole = len(kept) < options.limit and len(best) < len(boxes)
    return batched_nms(boxes, scores, labels, options.iou) if whole else best[kept]


def soft_nms(boxes: Tensor, scores: Tensor, labels: Tensor, iou: float, limit: int) -> tuple[Tensor, Tensor]:
    """Linear soft-NMS per class: the indices of at most ``limit`` best boxes and their decayed scores."""
    # Decay never reaches other classes, so taking the best over all classes gives what one run per class
    # would, merged and sorted: the loop ends after ``limit`` boxes however many candidates there are.
    remaining = scores.clone()
    keep = labels.new_zeros(min(limit, len(boxes)))
    kept_scores = scores.new_full(keep.shape, -1)
    for step in range(len(keep)):
        if not step % ROUND and step and kept_scores[step - 1] < SOFT_FLOOR:
            break  # checked only now and then, as it waits for the GPU
        best, index = remaining.max(dim=0, keepdim=True)
        keep[step : step + 1], kept_scores[step : step + 1] = index, best
        overlap = box_iou(boxes[index], boxes)[0]
        rival = (overlap > iou) & (labels == labels[index])
        remaining = torch.where(rival, remaining * (1 - overlap), remaining).index_fill(0, index, -1)
    count = int((kept_scores >= SOFT_FLOOR).sum())
    return keep[:count], kept_scores[:count]
