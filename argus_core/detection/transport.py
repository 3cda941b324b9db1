"""Assignment as optimal transport: locations and boxes find each other by what the head predicts."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.ops import box_iou, sigmoid_focal_loss

from argus_core.detection.assign import BACKGROUND
from argus_core.detection.geometry import Points, centres, pairwise_ltrb


def sinkhorn(cost: Tensor, supply: Tensor, demand: Tensor, epsilon: float = 0.1, steps: int = 50) -> Tensor:
    """The (G, N) plan of least ``cost`` (G, N) with an entropy bonus of ``epsilon`` (Cuturi 2013), in the log domain.

    Row sums are ``supply`` (G,) exactly, column sums approach ``demand`` (N,); both must have one total.
    """
    kernel, rows, columns = -cost / epsilon, supply.log(), demand.log()
    u = torch.zeros_like(rows)
    for _ in range(steps):
        v = columns - (kernel + u[:, None]).logsumexp(dim=0)
        u = rows - (kernel + v).logsumexp(dim=1)
    return (kernel + u[:, None] + v).exp()


@dataclass(frozen=True)
class OTA:
    """An assigner that looks at one image's predictions (Ge 2021): each box deals out units, background the rest.

    ``cls`` (N, K) logits and ``boxes`` (N, 4) pixels are predicted at the points that it is called with,
    ``labels`` (G,) belong to the boxes that it is called with. A box has as many units as its ``topk`` best
    overlaps add up to; it may go to points inside it and within ``radius`` strides of its centre.
    """

    cls: Tensor
    boxes: Tensor
    labels: Tensor
    box_weight: float = 1.5
    radius: float = 2.5
    topk: int = 20
    forbidden: float = 1e6

    def __call__(self, points: Points, boxes: Tensor) -> Tensor:
        """(N,) box index or ``BACKGROUND``."""
        iou = box_iou(boxes, self.boxes)  # (G, N)
        allowed = self._allowed(points, boxes)
        units = self._units(iou, allowed)
        plan = sinkhorn(
            torch.cat([self._cost(iou, allowed), self._nothing()[None]]),
            torch.cat([units, (len(points) - units.sum(dim=0, keepdim=True)).clamp(min=0)]),
            torch.ones_like(iou[0]),
        )
        # A box that shares its units among many points would lose each of them to the background.
        share = plan / plan.amax(dim=1, keepdim=True).clamp(min=1e-30)
        choice = share[:-1].masked_fill(~allowed, 0)
        value, index = choice.max(dim=0)
        return torch.where(value > share[-1], index, BACKGROUND)

    def _allowed(self, points: Points, boxes: Tensor) -> Tensor:
        """(G, N) bool; a box with no point of its own gets the nearest to its centre."""
        offset = (points.xy - centres(boxes)[:, None]).abs().amax(dim=-1)  # (G, N)
        inside = (pairwise_ltrb(points.xy, boxes) > 0).all(dim=-1).T
        allowed = inside & (offset < self.radius * points.stride)
        nearest = offset == offset.amin(dim=1, keepdim=True)
        return torch.where(allowed.any(dim=1, keepdim=True), allowed, nearest)

    def _units(self, iou: Tensor, allowed: Tensor) -> Tensor:
        """(G,) whole units, at least one and no more than points to go to; less than whole where points run out."""
        best = iou.topk(min(self.topk, iou.shape[1]), dim=1).values.sum(dim=1).floor()
        units = torch.minimum(best.clamp(min=1), allowed.sum(dim=1))
        return units * (iou.shape[1] / units.sum()).clamp(max=1)

    def _nothing(self) -> Tensor:
        """(N,) focal loss of every point if it belonged to no box."""
        return sigmoid_focal_loss(self.cls, torch.zeros_like(self.cls)).sum(dim=1)

    def _cost(self, iou: Tensor, allowed: Tensor) -> Tensor:
        """(G, N) loss of every point if it belonged to each box."""
        absent, present = (sigmoid_focal_loss(self.cls, torch.full_like(self.cls, goal)) for goal in (0, 1))
        cls = self._nothing() + (present - absent)[:, self.labels].T
        return cls - self.box_weight * iou.clamp(min=1e-7).log() + self.forbidden * ~allowed
