"""Assigning the annotated boxes to the locations of a dense head."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torchvision.ops import box_area

from argus_core.detection.geometry import Points, boxes_to_ltrb, centres, covers, paired_iou, positions
from argus_core.tasks.detect import BoxTarget

BACKGROUND = -1
"""The assignment of a point that belongs to no object."""
IGNORE = -2
"""The assignment of a point that no loss counts, such as a point within a crowd."""
Assigner = Callable[[Points, Tensor], Tensor]
"""Maps N points and (G, 4) boxes, both non-empty, to (N,) box indices or ``BACKGROUND``."""


@dataclass(frozen=True)
class Scene:
    """An image as assigners see it: the ``points`` on it, and the (G, 4) ``boxes`` that are not crowds.

    ``seen`` and ``objects`` are their indices among all ``total`` points and the target's boxes; ``crowds`` (C, 4) are
    the other boxes.
    """

    total: int
    seen: Tensor
    points: Points
    objects: Tensor
    boxes: Tensor
    crowds: Tensor

    def assign(self, assigner: Assigner) -> Tensor:
        """(total,) index into the target's boxes, ``BACKGROUND``, or ``IGNORE`` in padding and inside crowds."""
        assigned = torch.full_like(self.seen, BACKGROUND)
        if len(self.objects) and len(self.seen):
            index = assigner(self.points, self.boxes)
            assigned = torch.where(index >= 0, self.objects[index], BACKGROUND)
        if len(self.crowds):
            crowd = covers(self.crowds, self.points.xy).any(dim=0)
            assigned = torch.where(crowd & (assigned == BACKGROUND), IGNORE, assigned)
        return assigned.new_full((self.total,), IGNORE).index_copy(0, self.seen, assigned)


def scenes(points: Points, targets: Sequence[BoxTarget], extent: Tensor) -> list[Scene]:
    """The scenes of images that end at ``extent`` (B, 2: height, width)."""
    inside = points.within(extent)  # (B, N)
    parts = inside.split(points.counts or (len(points),), dim=1)
    levels = torch.stack([part.sum(dim=1) for part in parts], dim=1)
    crowds = torch.stack([target.crowd.sum() for target in targets])
    # One transfer from the device tells how many points and boxes all images have.
    numbers = torch.cat([levels, crowds[:, None]], dim=1).tolist()
    batch = []
    for mask, target, (*counts, crowd) in zip(inside, targets, numbers, strict=True):
        seen = positions(mask, sum(counts))
        objects = positions(~target.crowd, len(target.boxes) - crowd)
        visible = replace(points[seen], counts=tuple(counts) if points.counts else ())
        crowd_boxes = target.boxes[positions(target.crowd, crowd)]
        batch.append(Scene(len(points), seen, visible, objects, target.boxes[objects], crowd_boxes))
    return batch


def assign(assigner: Assigner, points: Points, target: BoxTarget, extent: Tensor) -> Tensor:
    """(N,) index into ``target.boxes``, ``BACKGROUND``, or ``IGNORE`` in padding and inside crowds."""
    return scenes(points, [target], extent[None])[0].assign(assigner)


def assign_batch(assigner: Assigner, points: Points, targets: Sequence[BoxTarget], extent: Tensor) -> Tensor:
    """(B, N): ``assign`` for a batch of images that end at ``extent`` (B, 2: height, width)."""
    return torch.stack([scene.assign(assigner) for scene in scenes(points, targets, extent)])


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
        bounds = torch.stack([boxes.new_full((), bound) for bound in self.bounds])  # no copy from the CPU
        low, high = bounds[points.level, None], bounds[points.level + 1, None]
        far = (points.xy[:, None] - boxes[:, :2]).amax(dim=-1)  # (N, G), to the left and above
        reach = torch.maximum(far, (boxes[:, 2:] - points.xy[:, None]).amax(dim=-1))
        away = (points.xy[:, None] - centres(boxes)).abs().amax(dim=-1)
        near = (away < self.radius * points.stride[:, None]) & covers(boxes, points.xy).T
        fits = near & (reach > low) & (reach <= high)
        area, index = torch.where(fits, box_area(boxes), math.inf).min(dim=1)
        return torch.where(area.isfinite(), index, BACKGROUND)


@dataclass(frozen=True)
class ATSS:
    """Points whose pseudo box overlaps a box more than is usual around it (Zhang 2020).

    A point's pseudo box is a square of ``anchor`` strides; the ``topk`` nearest points per level are candidates.
    ``force_one`` gives a box without any point (most are too small to hold one) the nearest point that is free.
    """

    topk: int = 9
    anchor: float = 8.0
    force_one: bool = True

    def __call__(self, points: Points, boxes: Tensor) -> Tensor:
        """(N,) box index or ``BACKGROUND``."""
        distance = torch.cdist(centres(boxes), points.xy, compute_mode="donot_use_mm_for_euclid_dist")  # (G, N)
        candidates = self._candidates(distance, points)  # (G, C)
        xy, half = points.xy[candidates], points.stride[candidates][..., None] * self.anchor / 2
        overlap = paired_iou(boxes[:, None], torch.cat([xy - half, xy + half], dim=2))
        spread = overlap.std(dim=1, keepdim=True, correction=min(1, overlap.shape[1] - 1))
        ltrb = boxes_to_ltrb(xy, boxes[:, None].expand(-1, candidates.shape[1], -1))
        positive = (ltrb.amin(dim=-1) > 0.01) & (overlap >= overlap.mean(dim=1, keepdim=True) + spread)
        matched = largest(torch.where(positive, overlap, -1), candidates, len(points))
        return _assign_orphans(matched, distance) if self.force_one else matched

    def _candidates(self, distance: Tensor, points: Points) -> Tensor:
        nearest = []
        for members in points.by_level():
            order = distance[:, members].topk(min(self.topk, len(members)), dim=1, largest=False).indices
            nearest.append(members[order])
        return torch.cat(nearest, dim=1)


def largest(claims: Tensor, at: Tensor, total: int) -> Tensor:
    """(total,) the row with the largest of ``claims`` (G, C) to a point, the first of equals, or ``BACKGROUND``.

    ``at`` (G, C) are the points, below ``total``; negative claims do not count.
    """
    best = claims.new_full((total,), -1).scatter_reduce(0, at.flatten(), claims.flatten(), "amax")
    row = torch.arange(len(claims), device=at.device)[:, None]
    mine = torch.where((claims >= 0) & (claims == best[at]), row, len(claims))
    first = mine.new_full((total,), len(claims)).scatter_reduce(0, at.flatten(), mine.flatten(), "amin")
    return torch.where(first < len(claims), first, BACKGROUND)


def _assign_orphans(matched: Tensor, distance: Tensor) -> Tensor:
    """Give every box without a point the nearest point that is free, as long as there are any."""
    boxes = torch.arange(len(distance), device=matched.device)[:, None]
    served = torch.zeros(len(distance) + 1, dtype=torch.bool, device=matched.device)
    served = served.index_fill(0, matched, True)[:-1]  # background is the last entry
    taken = torch.where(matched < 0, 0.0, torch.inf)
    if matched.device.type == "cpu":  # another device would have to be waited for to tell which boxes have no point
        boxes = boxes[~served]
    for box in boxes:
        orphan, row = ~served[box], distance[box][0]
        nearest = (row + taken).argmin(dim=0, keepdim=True)
        gets = orphan & (taken[nearest] == 0)
        matched = matched.scatter(0, nearest, torch.where(gets, box, matched[nearest]))
        taken = taken.scatter(0, nearest, torch.where(gets, torch.inf, taken[nearest]))
    return matched
