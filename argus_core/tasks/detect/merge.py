"""One set of detections of several passes over an image, such as overlapping tiles or its mirror image.

An object in the overlap of two tiles is found in both, and one on the border of a tile is found there in part. Parts
overlap the whole object by too small an IoU to be suppressed by it, which is why they are told by where they lie.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import batched_nms

from argus_core.canvas import Placement
from argus_core.tasks.detect.values import LIMIT, Detections, shared_areas

IOU = 0.5
"""Boxes of one class that overlap a better one by more are the same object."""
COVERED = 0.5
"""The same for two parts of an object: their intersection over the smaller of them, as in SAHI (Akyon 2022)."""
SLACK = 4.0
"""Canvas pixels between the border of a tile and the end of a box that is cut off by it: detectors are not exact."""


def merge_detections(predictions: Sequence[Detections], placements: Sequence[Placement]) -> Detections:
    """The best ``LIMIT`` detections, best first, of passes whose ``predictions`` are in image pixels.

    A part that another pass sees without touching its border is left to that pass, which sees more of the object.
    """
    sizes = torch.tensor([len(found.scores) for found in predictions])
    owner = torch.repeat_interleave(torch.arange(len(predictions)), sizes)
    boxes, scores, labels = (
        torch.cat([getattr(found, name) for found in predictions]) for name in ("boxes", "scores", "labels")
    )
    views = torch.stack([_view(place) for place in placements])  # (P, 4)
    cut = ~_within(boxes, views)[torch.arange(len(owner)), owner] if len(owner) else owner.bool()
    usable = torch.nonzero(~(cut & _within(boxes, views).any(dim=1)))[:, 0]
    kept = usable[batched_nms(boxes[usable], scores[usable], labels[usable], IOU)]
    kept = kept[_distinct(boxes[kept], labels[kept], owner[kept], cut[kept])]
    return Detections(boxes[kept], scores[kept], labels[kept])


def _view(place: Placement) -> Tensor:
    """The part of the image in which boxes are whole for a pass, (4,) x1, y1, x2, y2.

    Sides that cut the image off are moved inwards by ``SLACK``; the image's own lie at infinity, as they cut nothing.
    """
    rows, columns = place.extent
    x1, y1, x2, y2 = place.boxes_to_image(np.array([[0.0, 0.0, columns, rows]]))[0]
    height, width = place.image_size
    dy, dx = (SLACK / scale for scale in place.scale)
    half_y, half_x = (0.5 / scale for scale in place.scale)  # extents are whole canvas pixels
    sides = (
        x1 + dx if x1 > half_x else -np.inf,
        y1 + dy if y1 > half_y else -np.inf,
        x2 - dx if x2 < width - half_x else np.inf,
        y2 - dy if y2 < height - half_y else np.inf,
    )
    return torch.tensor(sides)


def _within(boxes: Tensor, views: Tensor) -> Tensor:
    """(N, P): whether a pass sees a whole box (N, 4), away from the sides where it cuts the image off."""
    after = boxes[:, None, :2] >= views[None, :, :2]
    before = boxes[:, None, 2:] <= views[None, :, 2:]
    return (after & before).all(dim=2)


def _distinct(boxes: Tensor, labels: Tensor, owner: Tensor, cut: Tensor) -> Tensor:
    """The indices of at most ``LIMIT`` boxes (N, 4), which are best first, without parts of a better one."""
    area = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1)
    left = torch.ones(len(boxes), dtype=torch.bool)
    kept: list[int] = []
    for best in range(len(boxes)):
        if not left[best] or len(kept) == LIMIT:
            continue
        kept.append(best)
        common = shared_areas(boxes[best], boxes)
        part = (cut | cut[best]) & (owner != owner[best]) & (labels == labels[best])
        left &= ~(part & (common > COVERED * torch.minimum(area, area[best])))
    return torch.tensor(kept, dtype=torch.long)
