"""How far two predictions of one image, in its own pixels, agree."""

from __future__ import annotations

from typing import Any

import torch
from torchvision.ops import box_iou

from argus_core.tasks.classify import Classes
from argus_core.tasks.correspond import Described
from argus_core.tasks.depth import DepthMap
from argus_core.tasks.detect import Detections
from argus_core.tasks.segment import Segmentation

SCORE = 0.3
"""Detections below this score are not compared."""
OVERLAP = 0.9
"""The IoU above which two boxes are the same."""


def agreement(exact: Any, other: Any) -> float:
    """The share of two predictions that is the same, 1 if all of it is; nan for nothing to compare, or unknown types.

    Of a class 0 or 1; of masks the pixels, of detections those that the other side has too, with the same class. Of
    depth 1 less the mean relative difference, of descriptors the mean cosine.
    """
    if isinstance(exact, Classes):
        return float(exact.scores.argmax() == other.scores.argmax())
    if isinstance(exact, Segmentation):
        return float((exact.labels == other.labels).float().mean())
    if isinstance(exact, DepthMap):
        seen = exact.depth > 0
        return 1 - float(((other.depth - exact.depth).abs() / exact.depth)[seen].mean())
    if isinstance(exact, Detections):
        return _matched(exact, other)
    if isinstance(exact, Described):
        rows, columns = (-(-end // exact.stride) for end in exact.extent)
        return float(torch.cosine_similarity(exact.maps, other.maps, dim=0)[:rows, :columns].mean())
    return float("nan")


def _matched(exact: Detections, other: Detections) -> float:
    first, second = exact.scores >= SCORE, other.scores >= SCORE
    if not first.any() or not second.any():
        return 0.0 if first.any() or second.any() else float("nan")
    same = box_iou(exact.boxes[first], other.boxes[second]) > OVERLAP
    same &= exact.labels[first][:, None] == other.labels[second]
    return float(torch.cat([same.any(dim=0), same.any(dim=1)]).float().mean())
