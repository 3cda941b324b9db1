"""Pairs of opposite corners that make boxes, and what says that two belong together (Law 2018; Newell 2017)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from argus_core.detection.blocks import ConvGN, prediction
from argus_core.detection.heatmaps import PRIOR, locate, peaks

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
        self.heat = prediction(width, classes, prior=PRIOR)
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
