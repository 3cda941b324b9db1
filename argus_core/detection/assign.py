"""Which location of a dense head answers for which annotated box."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.ops import box_area, box_iou

from argus_core.detection.geometry import Points, boxes_to_ltrb, centres, pairwise_ltrb
from argus_core.tasks.detect import BoxTarget

__all__ = ["ATSS", "BACKGROUND", "IGNORE", "Assigner", "FCOSAssigner", "assign"]

BACKGROUND = -1
"""The assignment of a point that belongs to no object."""
IGNORE = -2
"""The assignment of a point that counts for nothing, such as one within a crowd."""

Assigner = Callable[[Points, Tensor], Tensor]
"""Maps N points and (G, 4) boxes, both non-empty, to (N,) box indices or ``BACKGROUND``."""


def assign(assigner: Assigner, points: Points, target: BoxTarget, extent: Tensor) -> Tensor:
    """(N,) index into ``target.boxes``, ``BACKGROUND``, or ``IGNORE`` in padding and inside crowds."""
    seen = points.within(extent).nonzero()[:, 0]
    objects = (~target.crowd).nonzero()[:, 0]
    visible = points[seen]
    found = torch.full_like(seen, BACKGROUND)
    if len(objects) and len(seen):
        index = assigner(visible, target.boxes[objects])
        found = torch.where(index >= 0, objects[index], BACKGROUND)
    crowd = (pairwise_ltrb(visible.xy, target.boxes[target.crowd]) > 0).all(dim=-1).any(dim=1)
    found = torch.where(crowd & (found == BACKGROUND), IGNORE, found)
    return found.new_full((len(points),), IGNORE).index_copy(0, seen, found)


@dataclass(frozen=True)
class FCOSAssigner:
    """Points near a box's centre, on the level whose range holds the farthest side (Tian 2019).

    ``radius`` of centre sampling is in strides; level i answers for max(ltrb) in (bounds[i], bounds[i + 1]]
    pixels; the smallest box wins.
    """

    radius: float = 1.5
    bounds: tuple[float, ...] = (0, 64, 128, 256, 512, math.inf)

    def __call__(self, points: Points, boxes: Tensor) -> Tensor:
        """(N,) box index or ``BACKGROUND``."""
        bounds = boxes.new_tensor(self.bounds)
        low, high = bounds[points.level, None], bounds[points.level + 1, None]
        ltrb = pairwise_ltrb(points.xy, boxes)  # (N, G, 4)
        near = (points.xy[:, None] - centres(boxes)).abs().amax(dim=-1) < self.radius * points.stride[:, None]
        reach = ltrb.amax(dim=-1)  # (N, G)
        fits = near & (ltrb.amin(dim=-1) > 0) & (reach > low) & (reach <= high)
        area, index = torch.where(fits, box_area(boxes), math.inf).min(dim=1)
        return torch.where(area.isfinite(), index, BACKGROUND)


@dataclass(frozen=True)
class ATSS:
    """Points whose pseudo box overlaps a box more than is usual around it (Zhang 2020).

    A point's pseudo box is a square of ``anchor`` strides; ``topk`` nearest points per level are candidates.
    ``force_one`` gives a box that ends without a point (most are too small to hold any) its nearest free one.
    """

    topk: int = 9
    anchor: float = 8.0
    force_one: bool = True

    def __call__(self, points: Points, boxes: Tensor) -> Tensor:
        """(N,) box index or ``BACKGROUND``."""
        half = points.stride[:, None] * self.anchor / 2
        iou = box_iou(boxes, torch.cat([points.xy - half, points.xy + half], dim=1))  # (G, N)
        distance = torch.cdist(centres(boxes), points.xy, compute_mode="donot_use_mm_for_euclid_dist")
        candidates = self._candidates(distance, points.level)  # (G, C)
        overlap = iou.gather(1, candidates)
        spread = overlap.std(dim=1, keepdim=True, correction=min(1, overlap.shape[1] - 1))
        ltrb = boxes_to_ltrb(points.xy[candidates], boxes[:, None].expand(-1, candidates.shape[1], -1))
        positive = (ltrb.amin(dim=-1) > 0.01) & (overlap >= overlap.mean(dim=1, keepdim=True) + spread)
        claims = torch.full_like(iou, -1).scatter(1, candidates, torch.where(positive, overlap, -1))
        claim, index = claims.max(dim=0)  # a point claimed twice goes to the larger overlap
        matched = torch.where(claim >= 0, index, BACKGROUND)
        return _adopt(matched, distance) if self.force_one else matched

    def _candidates(self, distance: Tensor, level: Tensor) -> Tensor:
        nearest = []
        for each in level.unique():
            members = (level == each).nonzero()[:, 0]
            order = distance[:, members].topk(min(self.topk, len(members)), dim=1, largest=False).indices
            nearest.append(members[order])
        return torch.cat(nearest, dim=1)


def _adopt(matched: Tensor, distance: Tensor) -> Tensor:
    """Give every box without a point its nearest free one, as long as there are any."""
    orphan = torch.ones(len(distance), dtype=torch.bool, device=matched.device)
    orphan[matched[matched >= 0]] = False
    for box in orphan.nonzero()[:, 0]:
        nearest = torch.where(matched < 0, distance[box], math.inf).argmin()
        matched[nearest] = torch.where(matched[nearest] < 0, box, matched[nearest])
    return matched
