"""A detector whose training targets depend on its predictions: optimal transport assigns them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.ops import box_iou, sigmoid_focal_loss

from argus_core.detection import DenseOutput, LightHead, Points, centres, covers, ltrb_to_boxes, scenes
from argus_core.detection.assign import largest
from argus_core.tasks.detect import BoxTarget, Detect
from argus_core.tokens import FeatureInfo

ROWS = 256
"""Boxes that are compared with all points at once."""
LOG_NOTHING = -1e7
"""Logarithm of the mass at a point that nothing reaches; finite, so that differences stay defined."""


def sinkhorn(
    cost: Tensor, at: Tensor, rest: Tensor, supply: Tensor, demand: Tensor, epsilon: float = 0.1, steps: int = 50
) -> tuple[Tensor, Tensor]:
    """The plan of least cost with an entropy bonus of ``epsilon`` (Cuturi 2013), in the log domain.

    G rows supply the columns ``at`` (G, W) at ``cost`` (G, W), infinite where there is no column; one more row
    supplies all N columns at ``rest`` (N,). Row sums are ``supply`` (G + 1,) exactly, column sums approach ``demand``
    (N,); both must have the same total. Returns (G, W) and (N,).
    """
    kernel, other = -cost / epsilon, -rest / epsilon
    rows, columns = supply.log(), demand.log()
    u, last = torch.zeros_like(rows[:-1]), torch.zeros_like(rows[-1])
    for _ in range(steps):
        v = columns - _column_totals(kernel + u[:, None], at, other + last)
        u = rows[:-1] - (kernel + v[at]).logsumexp(dim=1)
        last = rows[-1] - (other + v).logsumexp(dim=0)
    return (kernel + u[:, None] + v[at]).exp(), (other + last + v).exp()


def _column_totals(values: Tensor, at: Tensor, other: Tensor) -> Tensor:
    """(N,) logsumexp over each column of ``other`` (N,) and the ``values`` (G, W), whose columns are ``at`` (G, W)."""
    maximum = other.scatter_reduce(0, at.flatten(), values.flatten(), "amax").clamp(min=LOG_NOTHING)
    total = (other - maximum).exp().index_add(0, at.flatten(), (values - maximum[at]).exp().flatten())
    return (maximum + total.log()).clamp(min=LOG_NOTHING)


@dataclass(frozen=True)
class OTA:
    """An assigner that reads the predictions of an image (Ge 2021): boxes supply some points, background the rest.

    ``cls`` (N, K) logits and ``boxes`` (N, 4) pixels are predicted at the points that it is called with, ``labels``
    (G,) belong to the boxes that it is called with. A box supplies as many units as its ``topk`` best overlaps add
    up to, to points inside it and within ``radius`` strides of its centre.
    """

    cls: Tensor
    boxes: Tensor
    labels: Tensor
    box_weight: float = 1.5
    radius: float = 2.5
    topk: int = 20

    def __call__(self, points: Points, boxes: Tensor) -> Tensor:
        """(N,) box index or ``BACKGROUND``."""
        strips = zip(boxes.split(ROWS), self.labels.split(ROWS), strict=True)
        background_cost = sigmoid_focal_loss(self.cls, torch.zeros_like(self.cls)).sum(dim=1)  # (N,)
        rows = zip(*(self._rows(points, background_cost, *strip) for strip in strips), strict=True)
        cost, at, units = map(torch.cat, rows)
        units = units * (len(points) / units.sum()).clamp(max=1)
        left = (len(points) - units.sum(dim=0, keepdim=True)).clamp(min=0)
        supply = torch.cat([units, left])
        plan, rest = sinkhorn(cost, at, background_cost, supply, torch.ones_like(background_cost))
        # Shares of each row's maximum: a box that divides its units among many points would lose all to background.
        share = plan / plan.amax(dim=1, keepdim=True).clamp(min=1e-30)
        background = rest / rest.max().clamp(min=1e-30)
        return largest(torch.where(share > background[at], share, -1), at, len(points))

    def _rows(
        self, points: Points, background_cost: Tensor, boxes: Tensor, labels: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """(G, W) costs of the points that boxes may supply, infinite for none, their indices, and (G,) units."""
        iou = box_iou(boxes, self.boxes)  # (G, N)
        allowed = self._allowed(points, boxes)
        # W is the most that a box can have: a square of 2 ``radius`` strides of each level.
        levels = len(points.counts) or len(points.level.unique())
        count = min(len(points), levels * math.ceil(2 * self.radius) ** 2)
        order = torch.arange(len(points), 0, -1, device=allowed.device, dtype=torch.float32)
        values, at = torch.where(allowed, order, 0).topk(count, dim=1)
        logits = self.cls[at, labels[:, None]]
        absent, present = (sigmoid_focal_loss(logits, torch.full_like(logits, goal)) for goal in (0, 1))
        change = present - absent - self.box_weight * iou.gather(1, at).clamp(min=1e-7).log()
        cost = (background_cost[at] + change).masked_fill(values == 0, torch.inf)
        return cost, at, self._units(iou, allowed)

    def _allowed(self, points: Points, boxes: Tensor) -> Tensor:
        """(G, N) bool; a box without a point in reach gets the nearest to its centre."""
        offset = (points.xy - centres(boxes)[:, None]).abs().amax(dim=-1)  # (G, N)
        allowed = covers(boxes, points.xy) & (offset < self.radius * points.stride)
        nearest = offset == offset.amin(dim=1, keepdim=True)
        return torch.where(allowed.any(dim=1, keepdim=True), allowed, nearest)

    def _units(self, iou: Tensor, allowed: Tensor) -> Tensor:
        """(G,) whole units, at least one and no more than points to supply."""
        best = iou.topk(min(self.topk, iou.shape[1]), dim=1).values.sum(dim=1).floor()
        return torch.minimum(best.clamp(min=1), allowed.sum(dim=1))


class OptimalTransport(LightHead):
    """The light head with locations assigned by optimal transport of the loss (OTA, Ge 2021; Sinkhorn, Cuturi 2013).

    Its quality is the overlap of the predicted box (YOLOX, 2021), as central locations are not better ones here.
    """

    quality = "iou"

    def __init__(self, info: FeatureInfo, task: Detect, *, width: int = 192) -> None:
        super().__init__(info, task, width=width)

    def assign(self, points: Points, targets: Sequence[BoxTarget], output: DenseOutput) -> Tensor:
        """(B, N) box index per location, -1 background, -2 ignored, from the predictions in ``output``."""
        cls, ltrb, _ = output.flat()
        boxes = ltrb_to_boxes(points.xy, ltrb)
        matched = []
        for image, scene in enumerate(scenes(points, targets, output.extent)):
            labels = targets[image].labels[scene.objects]
            matched.append(scene.assign(OTA(cls[image, scene.seen], boxes[image, scene.seen], labels)))
        return torch.stack(matched)
