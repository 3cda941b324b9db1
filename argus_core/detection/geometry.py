"""The locations of dense outputs, and the boxes around them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from argus_core.tasks.detect.values import shared_areas

TINY = 1e-7
"""Added to areas before dividing by them, in square pixels."""


@dataclass(frozen=True)
class Points:
    """Locations of all levels in one row: (N, 2) x, y canvas pixels, (N,) stride in pixels, (N,) level.

    ``counts`` are the numbers of points per level, level by level; empty where only the tensors hold them.
    """

    xy: Tensor
    stride: Tensor
    level: Tensor
    counts: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.xy)

    def __getitem__(self, items: Tensor) -> Points:
        """The points that an index or a mask selects."""
        return Points(self.xy[items], self.stride[items], self.level[items])

    def within(self, extent: Tensor) -> Tensor:
        """(..., N) bool: which points lie on the image that ends at ``extent`` (..., 2: height, width)."""
        return (self.xy < extent.flip(-1)[..., None, :]).all(-1)

    def by_level(self) -> list[Tensor]:
        """The indices of each level's points, of levels that have any."""
        if self.counts:
            indices = torch.arange(len(self), device=self.xy.device)
            return [part for part in indices.split(self.counts) if len(part)]
        return [(self.level == level).nonzero()[:, 0] for level in self.level.unique()]


def grid_points(grids: Sequence[tuple[int, int]], strides: Sequence[int], device: torch.device | None = None) -> Points:
    """Cell centres ((j + .5) * stride, (i + .5) * stride) of every (rows, columns) grid, row by row."""
    levels = []
    for level, ((rows, cols), stride) in enumerate(zip(grids, strides, strict=True)):
        y = (torch.arange(rows, device=device) + 0.5) * stride
        x = (torch.arange(cols, device=device) + 0.5) * stride
        xy = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1).reshape(-1, 2)  # (h * w, 2)
        levels.append(Points(xy, xy.new_full((len(xy),), stride), torch.full((len(xy),), level, device=device)))
    xy, strides_of, level_of = (torch.cat([getattr(p, k) for p in levels]) for k in ("xy", "stride", "level"))
    return Points(xy, strides_of, level_of, tuple(len(p) for p in levels))


def boxes_to_ltrb(xy: Tensor, boxes: Tensor) -> Tensor:
    """Distances (..., 4) from points (..., 2) to left, top, right, bottom; negative ones if outside."""
    return torch.cat([xy - boxes[..., :2], boxes[..., 2:] - xy], dim=-1)


def ltrb_to_boxes(xy: Tensor, ltrb: Tensor) -> Tensor:
    """The inverse of ``boxes_to_ltrb``: (..., 4) x1, y1, x2, y2."""
    return torch.cat([xy - ltrb[..., :2], xy + ltrb[..., 2:]], dim=-1)


def pairwise_ltrb(xy: Tensor, boxes: Tensor) -> Tensor:
    """(N, G, 4) distances of N points to the sides of G boxes."""
    return boxes_to_ltrb(xy[:, None].expand(-1, len(boxes), -1), boxes.expand(len(xy), -1, -1))


def covers(boxes: Tensor, xy: Tensor) -> Tensor:
    """(G, N) bool: which of (N, 2) points lie inside (G, 4) boxes, edges excluded."""
    low, high, x, y = boxes[:, :2, None], boxes[:, 2:, None], xy[:, 0], xy[:, 1]
    return (x > low[:, 0]) & (x < high[:, 0]) & (y > low[:, 1]) & (y < high[:, 1])


def positions(mask: Tensor, count: int) -> Tensor:
    """(count,) indices of the true elements of (N,) ``mask``, in order; ``count`` saves waiting for the device."""
    if count == len(mask):
        return torch.arange(count, device=mask.device)
    return (~mask).byte().argsort(stable=True)[:count]


def centres(boxes: Tensor) -> Tensor:
    """(..., 2) x, y of the middle of boxes."""
    return (boxes[..., :2] + boxes[..., 2:]) / 2


def paired_iou(a: Tensor, b: Tensor) -> Tensor:
    """(...) overlap in 0..1 of boxes (..., 4) with those at the same place; 0 between boxes without area."""
    common = shared_areas(a, b)
    areas = (a[..., 2:] - a[..., :2]).prod(dim=-1) + (b[..., 2:] - b[..., :2]).prod(dim=-1)
    return common / (areas - common).clamp(min=1e-9)


def giou_loss(a: Tensor, b: Tensor) -> Tensor:
    """(N,) one minus the generalised overlap (Rezatofighi 2019) of (N, 4) boxes with those at the same place.

    The same numbers as ``torchvision.ops.generalized_box_iou_loss``, which selects boxes by a mask and therefore waits
    for a GPU nine times.
    """
    (x1, y1, x2, y2), (left, top, right, bottom) = a.unbind(dim=-1), b.unbind(dim=-1)
    width, height = torch.min(x2, right) - torch.max(x1, left), torch.min(y2, bottom) - torch.max(y1, top)
    common = torch.where((width > 0) & (height > 0), width * height, 0)
    union = (x2 - x1) * (y2 - y1) + (right - left) * (bottom - top) - common
    hull = (torch.max(x2, right) - torch.min(x1, left)) * (torch.max(y2, bottom) - torch.min(y1, top))
    return 1 - (common / (union + TINY) - (hull - union) / (hull + TINY))


def centerness(ltrb: Tensor) -> Tensor:
    """Centre-ness in 0..1 of points with distances (..., 4); a point outside its box counts as 1 (Tian 2019).

    Such points exist only where a box too small to hold any location was assigned the nearest one.
    """
    pairs = ltrb.reshape(*ltrb.shape[:-1], 2, 2)  # (..., near or far, x or y)
    ratio = pairs.amin(dim=-2) / pairs.amax(dim=-2).clamp(min=1e-6)
    return torch.where((ltrb > 0).all(dim=-1), ratio.clamp(min=0).prod(dim=-1).sqrt(), 1.0)
