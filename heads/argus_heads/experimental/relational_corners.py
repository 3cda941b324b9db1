"""Boxes as pairs of corners: both corners are peaks, and a small network says which two belong together."""

from __future__ import annotations

from collections.abc import Sequence
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

RELATED = 1 << 16
"""Pairs that are related at once."""


@dataclass(frozen=True)
class CornerMaps:
    """(B, K, h, w) ``heat`` logits, (B, E, h, w) ``tag`` vectors and (B, 2, h, w) ``offset`` x, y in cells."""

    heat: Tensor
    tag: Tensor
    offset: Tensor

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the maps."""
        return self.heat.shape[2], self.heat.shape[3]

    def read(self, image: int, index: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Of one image's flat indices (N,) into ``heat``: labels, scores, (N, E) tags, (N, 2) x, y in cells."""
        label, cell, corner = locate(index, self.grid)
        tag, offset = (maps[image].flatten(1)[:, cell].T for maps in (self.tag, self.offset))
        return label, self.heat[image].flatten()[index].sigmoid(), tag, corner + offset

    def best(self, counted: Tensor, count: int) -> list[Tensor]:
        """Per image the flat indices of its at most ``count`` best peaks where ``counted`` (B, 1, h, w), best first."""
        found = peaks(self.heat.detach(), counted, count)
        return [index[values > 0] for values, index in zip(*found, strict=True)]


class CornerPool(nn.Module):
    """What lies along the two sides that leave a corner, gathered at the corner; and a shortcut.

    ``last`` is the lower right corner, whose sides run up and left; else those of the upper left one run down and
    right.
    """

    def __init__(self, width: int, last: bool) -> None:
        super().__init__()
        self.last = last
        self.along = nn.ModuleList(ConvGN(width, width, act=True) for _ in range(2))
        self.merge = ConvGN(width, width)
        self.skip = ConvGN(width, width, 1)

    def forward(self, x: Tensor, inside: Tensor) -> Tensor:
        """Keeps (B, width, h, w); cells that are not ``inside`` (B, 1, h, w) are not gathered."""
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


def running_maximum(x: Tensor, inside: Tensor, dim: int, forward: bool) -> Tensor:
    """The maximum of (B, C, h, w) over a cell and all before it along ``dim``, or else all after it; 0 outside."""
    x = x.masked_fill(~inside, torch.finfo(x.dtype).min)
    top = x.cummax(dim).values if forward else x.flip(dim).cummax(dim).values.flip(dim)
    return top.masked_fill(~inside, 0)


class Relation(nn.Module):
    """The logit that two corners belong together, from their tags, the box between them and their scores."""

    def __init__(self, tags: int, hidden: int = 32) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(2 * tags + 4, hidden), nn.GELU(), nn.Linear(hidden, 1))

    def forward(self, first: Tensor, last: Tensor, sides: Tensor, scores: Tensor) -> Tensor:
        """(P,) logits of P pairs with (P, E) tags, (P, 2) sides in cells and (P,) products of scores."""
        parts = [each.split(RELATED) for each in (first, last, sides, scores)]
        if len(parts[0]) == 1 or not torch.is_grad_enabled():
            return torch.cat([self._logits(*part) for part in zip(*parts, strict=True)])
        # Of very many pairs only the inputs are kept: the rest is computed twice.
        again = partial(checkpoint, self._logits, use_reentrant=False, preserve_rng_state=False)
        return torch.cat([again(*part) for part in zip(*parts, strict=True)])

    def _logits(self, first: Tensor, last: Tensor, sides: Tensor, scores: Tensor) -> Tensor:
        log = sides.clamp(min=1e-2).log()
        shape = torch.stack([log[:, 0], log[:, 1], log[:, 0] - log[:, 1], scores], dim=1)
        return self.mlp(torch.cat([first * last, (first - last).abs(), shape], dim=1)).float()[:, 0]


def pull_push(first: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
    """How far the tags (N, E) of an image's corner pairs are from their means, and how near these are to each other."""
    count, means = len(first), (first + last) / 2
    pull = ((first - means) ** 2 + (last - means) ** 2).sum() / max(count, 1)
    one, other = torch.triu_indices(count, count, 1, device=first.device)
    apart = torch.cdist(means, means, compute_mode="donot_use_mm_for_euclid_dist")[one, other]
    return pull, 2 * (1 - apart).clamp(min=0).sum() / max(count * (count - 1), 1)


@dataclass(frozen=True)
class Pairs:
    """P pairs of one image: places (P,) in the lists of first and last corners, labels, boxes (P, 4) in cells.

    ``score`` is the mean of both corners, ``apart`` the distance of their tags, ``relation`` the logit.
    """

    first: Tensor
    last: Tensor
    labels: Tensor
    boxes: Tensor
    score: Tensor
    apart: Tensor
    relation: Tensor


TAG = 8
"""Length of the vectors by which the corners of one object know each other."""
CORNERS = 100
"""Peaks of each kind that are paired."""
APART = 1.0
"""Corners with tags farther from each other are no pair; training pushes objects as far apart."""


@dataclass(frozen=True)
class CornersOutput:
    """Maps of the upper left and the lower right corners, and where images end: (B, 2) height, width in pixels."""

    first: CornerMaps
    last: CornerMaps
    extent: Tensor


class RelationalCorners(Head):
    """Two kinds of corners at half the backbone's stride, paired by a learned relation (Law 2018, 2019; Newell 2017).

    True and false pairs weigh alike in the relation's loss: there may be thousands of false ones to each true one.
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
        """All pairs of corners, given as flat indices (F,) and (L,), that are of one class and span a box."""
        label, score, tag, xy = output.first.read(image, first)
        other, score2, tag2, xy2 = output.last.read(image, last)
        i, j = ((label[:, None] == other) & (xy2 > xy[:, None]).all(dim=2)).nonzero(as_tuple=True)
        boxes = torch.cat([xy[i], xy2[j]], dim=1).detach()
        sides, product = boxes[:, 2:] - boxes[:, :2], (score[i] * score2[j]).detach()
        apart = torch.linalg.vector_norm(tag[i] - tag2[j], dim=1)
        relation = self.relation(tag[i], tag2[j], sides, product)
        return Pairs(i, j, label[i], boxes, (score[i] + score2[j]) / 2, apart, relation)

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
        wanted, offset, places = [], [], []
        for i, target in enumerate(objects):
            corners = target.boxes[:, end]
            cells = cells_of(corners, self.stride, extent[i])
            wanted.append(draw(cells, target.boxes, target.labels, shape, self.stride))
            places.append((target.labels * shape[1] + cells[:, 0]) * shape[2] + cells[:, 1])
            offset.append(F.smooth_l1_loss(maps.read(i, places[i])[3], corners / self.stride, reduction="sum"))
        return torch.stack([heat_loss(maps.heat, torch.stack(wanted), counted), torch.stack(offset).sum()]), places

    def _pair_loss(
        self, output: CornersOutput, starts: Sequence[Tensor], ends: Sequence[Tensor], counted: Tensor
    ) -> Tensor:
        """Cross-entropy over the pairs of annotated corners and best peaks, of which the annotated ones are true."""
        best = zip(output.first.best(counted, CORNERS), output.last.best(counted, CORNERS), strict=True)
        logits, truth = [], []
        for i, (start, end, both_peaks) in enumerate(zip(starts, ends, best, strict=True)):
            first, last = (torch.cat(both).unique() for both in zip((start, end), both_peaks, strict=True))
            found = self.pairs(output, i, first, last)
            annotated = torch.zeros(len(first), len(last), dtype=torch.bool, device=start.device)
            annotated.index_put_(
                (torch.searchsorted(first, start), torch.searchsorted(last, end)), annotated.new_ones(())
            )
            logits.append(found.relation)
            truth.append(annotated[found.first, found.last])
        chosen = torch.cat(truth)
        each = F.binary_cross_entropy_with_logits(torch.cat(logits), chosen.float(), reduction="none")
        parts = [each[mask].sum() / batch_total(mask.sum()) for mask in (chosen, ~chosen)]
        return (parts[0] + parts[1]) / 2

    @torch.no_grad()
    def decode(self, output: CornersOutput, canvas: tuple[int, int]) -> list[Detections]:
        """Boxes between the best corners, by the mean score of both times their relation, softly suppressed."""
        inside = cell_mask(output.extent, self.stride, output.first.grid)
        best = zip(output.first.best(inside, CORNERS), output.last.best(inside, CORNERS), strict=True)
        return [self._decode_image(output, i, *corners) for i, corners in enumerate(best)]

    def _decode_image(self, output: CornersOutput, image: int, first: Tensor, last: Tensor) -> Detections:
        found = self.pairs(output, image, first, last)
        scores = found.score * found.relation.sigmoid() * (found.apart <= APART)
        scores, order = scores.topk(min(self.decoding.candidates, len(scores)))
        order = order[scores > self.decoding.score]
        boxes = (self.stride * found.boxes[order]).clamp(min=0)
        boxes = torch.minimum(boxes, output.extent[image].flip(0).repeat(2))
        return suppress(boxes, scores[: len(order)], found.labels[order], self.decoding)
