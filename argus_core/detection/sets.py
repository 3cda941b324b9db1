"""Detectors that predict a set: each query is matched to at most one object, so nothing is suppressed."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import box_convert, generalized_box_iou, sigmoid_focal_loss

from argus_core.detection.geometry import centres, giou_loss
from argus_core.detection.losses import object_total
from argus_core.head import Head
from argus_core.nn import full_precision
from argus_core.tasks.detect import LIMIT, BoxTarget, Detect, Detections

WORST = 1e6
"""Cost in place of nan or infinity, so that a diverged head fails by its loss, not in the matcher."""
Pairs = tuple[Tensor, Tensor]


def assignments(costs: Sequence[Tensor], taking_part: Sequence[Tensor] = ()) -> list[Pairs]:
    """The rows and columns of the cheapest one-to-one matching for each (Q, G) cost, with as many pairs as possible.

    Rows and columns where ``taking_part`` (Q, G; by default all true) holds nowhere are left out.
    """
    flat = torch.cat([cost.flatten() for cost in costs]).nan_to_num(WORST, WORST, -WORST)
    if taking_part:
        flat = torch.where(torch.cat([mask.flatten() for mask in taking_part]), flat, torch.inf)
    # One transfer for the batch and all layers, and one back.
    values = flat.cpu().split([cost.numel() for cost in costs])
    solutions = [_solve(part.view(cost.shape)) for part, cost in zip(values, costs, strict=True)]
    moved = torch.cat(solutions, dim=1).to(costs[0].device)
    return [(rows, columns) for rows, columns in moved.split([pairs.shape[1] for pairs in solutions], dim=1)]


def _solve(cost: Tensor) -> Tensor:
    """(2, P) rows and columns of the pairs."""
    used = cost.isfinite()
    rows, columns = (used.any(dim=axis).nonzero()[:, 0] for axis in (1, 0))
    pairs = _solver()(cost[rows][:, columns].numpy())
    return torch.stack([side[torch.from_numpy(index)] for side, index in zip((rows, columns), pairs, strict=True)])


@cache
def _solver() -> Callable[..., Any]:
    with warnings.catch_warnings():  # scipy adds filters of its own when it is imported
        from scipy.optimize import linear_sum_assignment
    return linear_sum_assignment


ALPHA, GAMMA = 0.25, 2.0


@dataclass(frozen=True)
class SetOutput:
    """Q predictions per image: (B, Q, K) ``logits`` and (B, Q, 4) ``boxes``, x1, y1, x2, y2 in canvas pixels.

    ``extent`` (B, 2: height, width) is where images end; ``usable`` (B, Q) marks the queries that count, by default
    all; ``earlier`` are logits and boxes of the previous layers, which are supervised too.
    """

    logits: Tensor
    boxes: Tensor
    extent: Tensor
    usable: Tensor | None = None
    earlier: tuple[tuple[Tensor, Tensor], ...] = ()

    def layers(self) -> list[tuple[Tensor, Tensor]]:
        """float32 logits and boxes of every layer, the last one at the end."""
        return [(logits.float(), boxes.float()) for logits, boxes in (*self.earlier, (self.logits, self.boxes))]

    def mask(self) -> Tensor:
        """(B, Q) bool: the queries that count."""
        return torch.ones_like(self.logits[..., 0], dtype=torch.bool) if self.usable is None else self.usable


class SetHead(Head):
    """A detector whose ``forward`` returns a ``SetOutput``; matching, loss and decoding are inherited (Carion 2020).

    The weights of matching cost and loss are the same; crowds are left out.
    """

    solves = Detect
    cls_weight: float = 2.0
    l1_weight: float = 5.0
    giou_weight: float = 2.0

    def scores(self, output: SetOutput) -> Tensor:
        """(B, Q, K) scores in 0..1 by which predictions are ranked."""
        return output.logits.float().sigmoid()

    def extra_loss(self, output: SetOutput, targets: Sequence[BoxTarget]) -> dict[str, Tensor]:
        """Further named terms of a subclass."""
        return {}

    def loss(self, output: SetOutput, targets: Sequence[BoxTarget]) -> dict[str, Tensor]:
        """``cls``, ``l1`` and ``giou`` of the last layer, and ``earlier``, their sum over the layers before."""
        with full_precision(output.extent.device):
            matches = self.match(output, targets)
            terms = [
                self._layer_loss(*layer, output, targets, pairs)
                for layer, pairs in zip(output.layers(), matches, strict=True)
            ]
            before = [value for layer in terms[:-1] for value in layer.values()]
            earlier = {"earlier": torch.stack(before).sum()} if before else {}
            return terms[-1] | earlier | self.extra_loss(output, targets)

    @torch.no_grad()
    def match(self, output: SetOutput, targets: Sequence[BoxTarget]) -> list[list[Pairs]]:
        """Per layer and image, the indices of matched queries and of their boxes, which are never crowds."""
        mask = output.mask()
        costs = [
            self._cost(logits[i], boxes[i], target, output.extent[i])
            for logits, boxes in output.layers()
            for i, target in enumerate(targets)
        ]
        taking_part = [mask[i][:, None] & ~target.crowd for i, target in enumerate(targets)]
        pairs = assignments(costs, taking_part * (len(costs) // len(targets)))
        return [pairs[k : k + len(targets)] for k in range(0, len(pairs), len(targets))]

    def _cost(self, logits: Tensor, boxes: Tensor, target: BoxTarget, extent: Tensor) -> Tensor:
        """(Q, G) cost of every query for every object of an image."""
        own = logits[:, target.labels]  # (Q, G)
        yes = ALPHA * own.sigmoid().neg().add(1) ** GAMMA * -F.logsigmoid(own)
        no = (1 - ALPHA) * own.sigmoid() ** GAMMA * -F.logsigmoid(-own)
        l1 = torch.cdist(_shares(boxes, extent), _shares(target.boxes, extent), p=1)
        giou = generalized_box_iou(boxes, target.boxes)
        return self.cls_weight * (yes - no) + self.l1_weight * l1 - self.giou_weight * giou

    def _layer_loss(
        self,
        logits: Tensor,
        boxes: Tensor,
        output: SetOutput,
        targets: Sequence[BoxTarget],
        pairs: Sequence[Pairs],
    ) -> dict[str, Tensor]:
        image = torch.cat([torch.full_like(query, i) for i, (query, _) in enumerate(pairs)])
        query = torch.cat([query for query, _ in pairs])
        true, labels = (
            torch.cat([getattr(t, name)[index] for t, (_, index) in zip(targets, pairs, strict=True)])
            for name in ("boxes", "labels")
        )
        goals = torch.zeros_like(logits)
        goals.index_put_((image, query, labels), goals.new_ones(()))
        predicted, extent = boxes[image, query], output.extent[image]
        total = object_total(targets)
        focal = sigmoid_focal_loss(logits, goals, ALPHA, GAMMA)
        focal = torch.where(output.mask()[..., None], focal, 0).sum()
        l1 = (_shares(predicted, extent) - _shares(true, extent)).abs().sum()
        giou = giou_loss(predicted, true).sum()
        return {
            "cls": self.cls_weight * focal / total,
            "l1": self.l1_weight * l1 / total,
            "giou": self.giou_weight * giou / total,
        }

    @torch.no_grad()
    def decode(self, output: SetOutput, canvas: tuple[int, int]) -> list[Detections]:
        """The best 100 pairs of query and class, without suppression; queries centred beyond the image are left out."""
        middle = centres(output.boxes.float())
        inside = ((middle >= 0) & (middle < output.extent.flip(-1)[:, None])).all(dim=-1) & output.mask()
        scores = self.scores(output).float() * inside[..., None]
        scores = torch.where(scores > 0, scores, 0)  # nan becomes 0 too
        limits = output.extent.flip(-1).repeat(1, 2)
        return [best(*image) for image in zip(scores, output.boxes.float(), limits, strict=True)]


def best(scores: Tensor, boxes: Tensor, limit: Tensor) -> Detections:
    """One image's best predictions of positive score, from (Q, K) and (Q, 4), clipped to ``limit`` (4: w, h, w, h)."""
    values, order = scores.flatten().topk(min(LIMIT, scores.numel()))
    order = order[values > 0]
    kept = torch.minimum(boxes[order // scores.shape[1]].clamp(min=0), limit)
    return Detections(kept, values[values > 0], order % scores.shape[1])


def _shares(boxes: Tensor, extent: Tensor) -> Tensor:
    """Centre and sides (..., 4) as shares of the image's width and height."""
    return box_convert(boxes, "xyxy", "cxcywh") / torch.cat([extent.flip(-1)] * 2, dim=-1)
