"""Which detections of an image are right: the first of an annotated box, of its class and with an IoU of 0.5."""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.ops import box_area, box_iou

from argus_core.tasks.detect.values import BoxTarget, Detections, shared_areas

IOU = 0.5
"""Overlap from which a detection has found an object, as in Pascal VOC and in COCO's AP50."""


def find_hits(found: Detections, target: BoxTarget) -> tuple[Tensor, Tensor]:
    """(N,) whether each detection, best first, is right, and (N,) whether it counts; both on the CPU.

    Of several detections of a box the first is right. Wrong ones do not count that lie by half in what is ignored, a
    crowd or a difficult object, of their class.
    """
    boxes, labels = found.boxes.double().cpu(), found.labels.cpu()
    goals, goal_labels, ignored = target.boxes.double().cpu(), target.labels.cpu(), target.crowd.cpu()
    alike = labels[:, None] == goal_labels  # (N, G)
    overlap = torch.where(alike & ~ignored, box_iou(boxes, goals), 0.0)
    right = torch.zeros(len(labels), dtype=torch.bool)
    for place in overlap.amax(dim=1, keepdim=True).nonzero()[:, 0].tolist() if len(goals) else ():
        best, goal = overlap[place].max(dim=0)
        if best >= IOU:
            right[place] = True
            overlap[:, goal] = 0.0  # found
    shared = shared_areas(boxes[:, None], goals)
    inside = alike & ignored & (shared > 0) & (2 * shared >= box_area(boxes)[:, None])
    return right, right | ~inside.any(dim=1)
