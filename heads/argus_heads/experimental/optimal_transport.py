"""A detector whose training targets follow what it predicts."""

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
LEAST = -1e7
"""Log of what reaches a point that nothing reaches."""
Plan = tuple[Tensor, Tensor]


def sinkhorn(
    cost: Tensor, at: Tensor, rest: Tensor, supply: Tensor, demand: Tensor, epsilon: float = 0.1, steps: int = 50
) -> Plan:
    """The plan of least cost with an entropy bonus of ``epsilon`` (Cuturi 2013), in the log domain.

    G rows deal out to the columns ``at`` (G, W) at ``cost`` (G, W), which is infinite for none; one more deals out to
    all N at ``rest`` (N,). Row sums are ``supply`` (G + 1,) exactly, column sums approach ``demand`` (N,); both must
    have one total. Returns (G, W) and (N,).
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
    """(N,) log of the sums of exp: of ``other`` (N,) and the ``values`` (G, W) that lie ``at`` (G, W) each column."""
    most = other.scatter_reduce(0, at.flatten(), values.flatten(), "amax").clamp(min=LEAST)
    total = (other - most).exp().index_add(0, at.flatten(), (values - most[at]).exp().flatten())
    return (most + total.log()).clamp(min=LEAST)


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

    def __call__(self, points: Points, boxes: Tensor) -> Tensor:
        """(N,) box index or ``BACKGROUND``."""
        strips = zip(boxes.split(ROWS), self.labels.split(ROWS), strict=True)
        nothing = self._nothing()
        costs, places, wanted = zip(*(self._rows(points, nothing, *strip) for strip in strips), strict=True)
        cost, at, units = torch.cat(costs), torch.cat(places), torch.cat(wanted)
        units = units * (len(points) / units.sum()).clamp(max=1)
        left = (len(points) - units.sum(dim=0, keepdim=True)).clamp(min=0)
        plan, rest = sinkhorn(cost, at, nothing, torch.cat([units, left]), torch.ones_like(nothing))
        # A box that shares its units among many points would lose each of them to the background.
        share = plan / plan.amax(dim=1, keepdim=True).clamp(min=1e-30)
        background = rest / rest.max().clamp(min=1e-30)
        return largest(torch.where(share > background[at], share, -1), at, len(points))

    def _rows(self, points: Points, nothing: Tensor, boxes: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(G, W) costs of the points that boxes may go to, infinite for none, their indices, and (G,) units."""
        iou = box_iou(boxes, self.boxes)  # (G, N)
        allowed = self._allowed(points, boxes)
        at, known = self._reached(points, allowed)
        cost = nothing[at] + self._cost(iou.gather(1, at), at, labels)
        return cost.masked_fill(~known, torch.inf), at, self._units(iou, allowed)

    def _allowed(self, points: Points, boxes: Tensor) -> Tensor:
        """(G, N) bool; a box with no point of its own gets the nearest to its centre."""
        offset = (points.xy - centres(boxes)[:, None]).abs().amax(dim=-1)  # (G, N)
        allowed = covers(boxes, points.xy) & (offset < self.radius * points.stride)
        nearest = offset == offset.amin(dim=1, keepdim=True)
        return torch.where(allowed.any(dim=1, keepdim=True), allowed, nearest)

    def _reached(self, points: Points, allowed: Tensor) -> Plan:
        """(G, W) indices of the ``allowed`` (G, N) points in order, and which of them are any.

        W is the most that a box can have: a square of 2 ``radius`` strides of each level.
        """
        levels = len(points.counts) or len(points.level.unique())
        most = min(len(points), levels * math.ceil(2 * self.radius) ** 2)
        order = torch.arange(len(points), 0, -1, device=allowed.device, dtype=torch.float32)
        value, at = torch.where(allowed, order, 0).topk(most, dim=1)
        return at, value > 0

    def _units(self, iou: Tensor, allowed: Tensor) -> Tensor:
        """(G,) whole units, at least one and no more than points to go to."""
        best = iou.topk(min(self.topk, iou.shape[1]), dim=1).values.sum(dim=1).floor()
        return torch.minimum(best.clamp(min=1), allowed.sum(dim=1))

    def _nothing(self) -> Tensor:
        """(N,) focal loss of every point if it belonged to no box."""
        return sigmoid_focal_loss(self.cls, torch.zeros_like(self.cls)).sum(dim=1)

    def _cost(self, iou: Tensor, at: Tensor, labels: Tensor) -> Tensor:
        """(G, W): by what the loss of points ``at``, of overlaps ``iou``, changes if boxes of ``labels`` own them."""
        logits = self.cls[at, labels[:, None]]
        absent, present = (sigmoid_focal_loss(logits, torch.full_like(logits, goal)) for goal in (0, 1))
        return present - absent - self.box_weight * iou.clamp(min=1e-7).log()


class OptimalTransport(LightHead):
    """The light head, trained on locations that optimal transport picks by loss (OTA, Ge 2021; Sinkhorn, Cuturi 2013).

    Its quality is the overlap of the predicted box (YOLOX, 2021): a central location no longer is a better one.
    """

    quality = "iou"

    def __init__(self, info: FeatureInfo, task: Detect, *, width: int = 192) -> None:
        super().__init__(info, task, width=width)

    def assign(self, points: Points, targets: Sequence[BoxTarget], output: DenseOutput) -> Tensor:
        """(B, N) box index per location, -1 background, -2 ignored; by the predictions at hand."""
        cls, ltrb, _ = output.flat()
        boxes = ltrb_to_boxes(points.xy, ltrb)
        matched = []
        for image, scene in enumerate(scenes(points, targets, output.extent)):
            labels = targets[image].labels[scene.objects]
            matched.append(scene.assign(OTA(cls[image, scene.seen], boxes[image, scene.seen], labels)))
        return torch.stack(matched)
