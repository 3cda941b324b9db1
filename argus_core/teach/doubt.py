"""How far a head is from being sure of an image, by its prediction on the canvas."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import torch
from torch import Tensor

from argus_core.canvas import Placement
from argus_core.tasks.classify import Classes
from argus_core.tasks.depth import DepthMaps
from argus_core.tasks.detect import Detections
from argus_core.tasks.segment import ClassMaps
from argus_core.tokens import cell_mask

UNDECIDED = 10
"""Of detections, the least decided ones that count."""


@singledispatch
def doubt(prediction: Any, placement: Placement) -> float:
    """The doubt of a prediction, 0 or more; 0 of predictions that tell none.

    Of classes 1 minus the margin of the best; of masks the mean of that over cells of the image; of boxes how near the
    scores of the least decided come to one half; of depth the mean of deviations relative to it.
    """
    return 0.0


@doubt.register
def _(prediction: Classes, placement: Placement) -> float:
    return max(0.0, 1 - prediction.margin)


@doubt.register
def _(prediction: ClassMaps, placement: Placement) -> float:
    best = prediction.logits.float().softmax(dim=0).topk(min(2, len(prediction.logits)), dim=0).values
    margin = best[0] - best[1] if len(best) > 1 else best[0]
    return float((1 - margin[_seen(margin, prediction.stride, placement)]).mean())


@doubt.register
def _(prediction: Detections, placement: Placement) -> float:
    undecided = (1 - (2 * prediction.scores.float() - 1).abs()).sort(descending=True).values[:UNDECIDED]
    return float(undecided.sum()) / UNDECIDED


@doubt.register
def _(prediction: DepthMaps, placement: Placement) -> float:
    relative = prediction.spread / prediction.depth.clamp(min=1e-6)
    return float(relative[_seen(relative, prediction.stride, placement)].mean())


def _seen(cells: Tensor, stride: int, placement: Placement) -> Tensor:
    """Which cells (h, w) of a map hold a pixel of the image."""
    extent = torch.tensor([placement.extent], device=cells.device)
    return cell_mask(extent, stride, (cells.shape[0], cells.shape[1]))[0, 0]
