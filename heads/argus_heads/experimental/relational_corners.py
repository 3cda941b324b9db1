"""Boxes as pairs of corners: both corners are peaks, and a small network decides which two belong together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from argus_core.detection import (
    ConvGN,
    DecodeOptions,
    SmoothUpGN,
    cells_of,
    counted_cells,
    draw,
    finer_stride,
    heat_loss,
    locate,
    object_total,
    peaks,
    prediction,
    suppress,
    without_crowds,
)
from argus_core.detection.heatmaps import HEAT_PRIOR
from argus_core.head import Head
from argus_core.nn import batch_total, full_precision
from argus_core.recipe import Recipe
from argus_core.tasks.detect import BoxTarget, Detect, Detections
from argus_core.tokens import FeatureInfo, Features, Needs, Taps, cell_mask, default_layers

TAG = 8
"""Length of the embedding vectors that the two corners of an object share."""
CORNERS = 100
"""Peaks of each kind that are paired."""
MAX_DISTANCE = 1.0
"""Corners whose tags are farther apart are no pair; training pushes the tags of objects as far apart."""
CHUNK = 1 << 16
"""Pairs that the relation network reads at once."""


@dataclass(frozen=True)
class CornerMaps:
    """Maps of one kind of corner: (B, K, h, w) ``heat`` logits, (B, E, h, w) ``tag`` and (B, 2, h, w) ``offset``.

    Offsets are x, y in cells.
    """

    heat: Tensor
    tag: Tensor
    offset: Tensor

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the maps."""
        return self.heat.shape[2], self.heat.shape[3]

    def read(self, image: int, index: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Labels, scores, (N, E) tags and (N, 2) x, y in cells at flat indices (N,) into the ``heat`` of an image."""
        label, cell, corner = locate(index, self.grid)
        tag, offset = (maps[image].flatten(1)[:, cell].T for maps in (self.tag, self.offset))
        return label, self.heat[image].flatten()[index].sigmoid(), tag, corner + offset

    def best(self, counted: Tensor, count: int) -> list[Tensor]:
        """Per image the flat indices of at most ``count`` peaks where ``counted`` (B, 1, h, w), best first."""
        scores, indices = peaks(self.heat.detach(), counted, count)
        return [index[values > 0] for values, index in zip(scores, indices, strict=True)]


def running_maximum(x: Tensor, inside: Tensor, dim: int, forward: bool) -> Tensor:
    """The maximum of (B, C, h, w) over a cell and all before it along ``dim``, or else all after it; 0 outside."""
    x = x.masked_fill(~inside, torch.finfo(x.dtype).min)
    maximum = x.cummax(dim).values if forward else x.flip(dim).cummax(dim).values.flip(dim)
    return maximum.masked_fill(~inside, 0)


class CornerPool(nn.Module):
    """Maxima along the two sides that meet in a corner, gathered at the corner, and a shortcut.

    The sides of the ``last`` (lower right) corner run up and left, those of the upper left one down and right.
    """

    def __init__(self, width: int, last: bool) -> None:
        super().__init__()
        self.last = last
        self.along = nn.ModuleList(ConvGN(width, width, act=True) for _ in range(2))
        self.merge = ConvGN(width, width)
        self.skip = ConvGN(width, width, 1)

    def forward(self, x: Tensor, inside: Tensor) -> Tensor:
        """Keeps (B, width, h, w); only cells ``inside`` (B, 1, h, w) are gathered."""
        rows, columns = (
            running_maximum(conv(x), inside, dim, self.last) for conv, dim in zip(self.along, (2, 3), strict=True)
        )
        return F.gelu(self.merge(rows + columns) + self.skip(x))


class CornerBranch(nn.Module):
    """Corner pooling and the three maps of one kind of corner; tags are ``tags`` long."""

    def __init__(self, width: int, classes: int, tags: int, last: bool) -> None:
        super().__init__()
        self.pool = CornerPool(width, last)
        self.heat = prediction(width, classes, prior=HEAT_PRIOR)
        self.tag = nn.Conv2d(width, tags, 1)
        self.offset = prediction(width, 2)

    def forward(self, x: Tensor, inside: Tensor) -> CornerMaps:
        """float32 maps of the size of (B, width, h, w)."""
        x = self.pool(x, inside)
        return CornerMaps(self.heat(x).float(), self.tag(x).float(), self.offset(x).float())


class Relation(nn.Module):
    """Logits that two corners belong together, from their tags, the box between them and their scores."""

    def __init__(self, tags: int, hidden: int = 32) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(2 * tags + 4, hidden), nn.GELU(), nn.Linear(hidden, 1))

    def forward(self, first: Tensor, last: Tensor, sides: Tensor, scores: Tensor) -> Tensor:
        """(P,) logits of P pairs with (P, E) tags, (P, 2) sides in cells and (P,) products of scores."""
        chunks = list(zip(*(x.split(CHUNK) for x in (first, last, sides, scores)), strict=True))
        logits: Callable[..., Tensor] = self._logits
        if len(chunks) > 1 and torch.is_grad_enabled():
            # Training on very many pairs stores their inputs only and computes the rest twice.
            logits = partial(checkpoint, self._logits, use_reentrant=False, preserve_rng_state=False)
        return torch.cat([logits(*chunk) for chunk in chunks])

    def _logits(self, first: Tensor, last: Tensor, sides: Tensor, scores: Tensor) -> Tensor:
        log = sides.clamp(min=1e-2).log()
        shape = torch.stack([log[:, 0], log[:, 1], log[:, 0] - log[:, 1], scores], dim=1)
        return self.mlp(torch.cat([first * last, (first - last).abs(), shape], dim=1)).float()[:, 0]


def pull_push(first: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
    """Losses that pull the tags (N, E) of an object's corners to their mean, and the means of objects apart."""
    count, means = len(first), (first + last) / 2
    pull = ((first - means) ** 2 + (last - means) ** 2).sum() / max(count, 1)
    rows, columns = torch.triu_indices(count, count, 1, device=first.device)
    distance = torch.cdist(means, means, compute_mode="donot_use_mm_for_euclid_dist")[rows, columns]
    return pull, 2 * (1 - distance).clamp(min=0).sum() / max(count * (count - 1), 1)


@dataclass(frozen=True)
class Pairs:
    """P pairs of one image: positions (P,) in the lists of first and last corners, labels, boxes (P, 4) in cells.

    ``score`` is the mean of both corners, ``distance`` that of their tags, ``relation`` the logit.
    """

    first: Tensor
    last: Tensor
    labels: Tensor
    boxes: Tensor
    score: Tensor
    distance: Tensor
    relation: Tensor


@dataclass(frozen=True)
class CornersOutput:
    """Maps of the upper left and the lower right corners, and the ``extent`` of images: (B, 2) height, width."""

    first: CornerMaps
    last: CornerMaps
    extent: Tensor


class RelationalCorners(Head):
    """Two kinds of corners at half the backbone's stride, paired by a learned relation (Law 2018, 2019; Newell 2017).

    True and false pairs have the same weight in the relation's loss, as there may be thousands of false ones to a
    true one.
    """

    solves = Detect
    recipe = Recipe(lr=5e-4, batch=16, epochs=16)
    tag_weight: float = 0.1
    decoding: DecodeOptions = DecodeOptions(score=0.0, soft=True)

    def __init__(self, info: FeatureInfo, task: Detect, *, width: int = 256) -> None:
        super().__init__(info, task)
        self.needs = Needs(layers=default_layers(info))
        self.taps = Taps(info, self.needs)
        self.stride = finer_stride(self.taps.stride, 2)
        self.neck = nn.Sequential(ConvGN(self.taps.channels, width, 1, act=True), SmoothUpGN(width, width // 2))
        self.first, self.last = (CornerBranch(width // 2, len(task.classes), TAG, last) for last in (False, True))
        self.relation = Relation(TAG)

    def forward(self, features: Features) -> CornersOutput:
        """Both kinds of corners, in cells of ``stride`` pixels."""
        x = self.neck(self.taps(features))
        inside = cell_mask(features.extent, self.stride, (x.shape[2], x.shape[3]))
        return CornersOutput(self.first(x, inside), self.last(x, inside), features.extent)

    def pairs(self, output: CornersOutput, image: int, first: Tensor, last: Tensor) -> Pairs:
        """All pairs of corners, from flat indices (F,) and (L,), that have one class and span a box."""
        label, score, tag, xy = output.first.read(image, first)
        label2, score2, tag2, xy2 = output.last.read(image, last)
        i, j = ((label[:, None] == label2) & (xy2 > xy[:, None]).all(dim=2)).nonzero(as_tuple=True)
        boxes = torch.cat([xy[i], xy2[j]], dim=1).detach()
        sides, product = boxes[:, 2:] - boxes[:, :2], (score[i] * score2[j]).detach()
        distance = torch.linalg.vector_norm(tag[i] - tag2[j], dim=1)
        relation = self.relation(tag[i], tag2[j], sides, product)
        return Pairs(i, j, label[i], boxes, (score[i] + score2[j]) / 2, distance, relation)

    def loss(self, output: CornersOutput, targets: Sequence[BoxTarget]) -> dict[str, Tensor]:
        """``heat`` and ``offset`` of both corners, ``pull`` and ``push`` of tags, ``pair`` of the relation."""
        with full_precision(output.extent.device):
            objects = without_crowds(targets)
            counted = counted_cells(targets, output.extent, self.stride, output.first.grid)
            first, starts = self._corner_loss(output.first, objects, slice(0, 2), output.extent, counted)
            last, ends = self._corner_loss(output.last, objects, slice(2, 4), output.extent, counted)
            heat, offset = (first + last) / object_total(objects)
            tags = [
                pull_push(output.first.read(i, start)[2], output.last.read(i, end)[2])
                for i, (start, end) in enumerate(zip(starts, ends, strict=True))
            ]
            pull, push = self.tag_weight * torch.stack([torch.stack(both) for both in tags]).mean(dim=0)
            pair = self._pair_loss(output, starts, ends, counted)
            return {"heat": heat, "offset": offset, "pull": pull, "push": push, "pair": pair}

    def _corner_loss(
        self, maps: CornerMaps, objects: Sequence[BoxTarget], end: slice, extent: Tensor, counted: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        """(2,) sums of focal loss and of the offsets' error, and per image the flat indices (G,) of its corners."""
        shape = (maps.heat.shape[1], *maps.grid)
        heat, offset, indices = [], [], []
        for i, target in enumerate(objects):
            corners = target.boxes[:, end]
            cells = cells_of(corners, self.stride, extent[i])
            heat.append(draw(cells, target.boxes, target.labels, shape, self.stride))
            indices.append((target.labels * shape[1] + cells[:, 0]) * shape[2] + cells[:, 1])
            offset.append(F.smooth_l1_loss(maps.read(i, indices[i])[3], corners / self.stride, reduction="sum"))
        return torch.stack([heat_loss(maps.heat, torch.stack(heat), counted), torch.stack(offset).sum()]), indices

    def _pair_loss(
        self, output: CornersOutput, starts: Sequence[Tensor], ends: Sequence[Tensor], counted: Tensor
    ) -> Tensor:
        """Cross-entropy over the pairs of annotated corners and best peaks, of which the annotated ones are true."""
        first_peaks, last_peaks = output.first.best(counted, CORNERS), output.last.best(counted, CORNERS)
        logits, truth = [], []
        for i, (start, end) in enumerate(zip(starts, ends, strict=True)):
            first, last = torch.cat([start, first_peaks[i]]).unique(), torch.cat([end, last_peaks[i]]).unique()
            pairs = self.pairs(output, i, first, last)
            annotated = torch.zeros(len(first), len(last), dtype=torch.bool, device=start.device)
            index = torch.searchsorted(first, start), torch.searchsorted(last, end)
            annotated.index_put_(index, annotated.new_ones(()))
            logits.append(pairs.relation)
            truth.append(annotated[pairs.first, pairs.last])
        positive = torch.cat(truth)
        losses = F.binary_cross_entropy_with_logits(torch.cat(logits), positive.float(), reduction="none")
        true, false = (losses[mask].sum() / batch_total(mask.sum()) for mask in (positive, ~positive))
        return (true + false) / 2

    @torch.no_grad()
    def decode(self, output: CornersOutput, canvas: tuple[int, int]) -> list[Detections]:
        """Boxes between the best corners, scored by the mean of both times their relation, softly suppressed."""
        visible = cell_mask(output.extent, self.stride, output.first.grid)
        best = zip(output.first.best(visible, CORNERS), output.last.best(visible, CORNERS), strict=True)
        return [self._decode_image(output, i, *corners) for i, corners in enumerate(best)]

    def _decode_image(self, output: CornersOutput, image: int, first: Tensor, last: Tensor) -> Detections:
        pairs = self.pairs(output, image, first, last)
        scores = pairs.score * pairs.relation.sigmoid() * (pairs.distance <= MAX_DISTANCE)
        scores, order = scores.topk(min(self.decoding.candidates, len(scores)))
        order = order[scores > self.decoding.score]
        boxes = (self.stride * pairs.boxes[order]).clamp(min=0)
        boxes = torch.minimum(boxes, output.extent[image].flip(0).repeat(2))
        return suppress(boxes, scores[: len(order)], pairs.labels[order], self.decoding)
