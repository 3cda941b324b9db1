"""Whether two images show the same picture: their cells agree after one is shifted, scaled or mirrored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

ZOOM = 1.5
"""How many times larger one picture may be than the other, on either axis, and still be found to be the same."""
TOLERANCES = (0.25, 0.15, 0.12)
"""Shares of the image's side that matched cells may be off, while the transformation is fitted, and the last one."""
EXACT = 0.1
"""The same of cells that count as agreeing."""
ELSEWHERE = 0.25
"""Shares of the image's side between cells that are compared with each other in one image."""
LEAST = 4
"""Cells that a transformation is fitted to, at least."""


@dataclass(frozen=True)
class Grids:
    """Unit vectors (B, n, C) of the cells of images and their places (B, n, 2: x, y from 0 to 1).

    ``weight`` (B, n) is how far a cell differs from all that lie elsewhere in its image, and 0 of cells without image:
    a white background says nothing.
    """

    cells: Tensor
    places: Tensor
    weight: Tensor

    @classmethod
    def of(cls, maps: Tensor, mask: Tensor, extent: Tensor, stride: int) -> Grids:
        """Of maps (B, C, h, w) of ``stride`` px, with the mask (B, 1, h, w) and extent (B, 2) of their images."""
        y, x = (((torch.arange(size) + 0.5) * stride) for size in maps.shape[2:])
        grid = torch.stack(torch.meshgrid(y, x, indexing="ij"), dim=-1).flatten(0, 1)  # (n, 2): y, x
        places = (grid / extent[:, None]).flip(-1).clamp(max=1)
        unit = F.normalize(maps.flatten(2).transpose(1, 2), dim=2)
        return cls(unit, places, _distinct(unit, places, mask.flatten(1)))

    def __getitem__(self, items: Tensor) -> Grids:
        return Grids(self.cells[items], self.places[items], self.weight[items])


def _distinct(cells: Tensor, places: Tensor, seen: Tensor) -> Tensor:
    far = (places[:, :, None] - places[:, None]).abs().amax(dim=-1) > ELSEWHERE
    cosines = (cells @ cells.transpose(1, 2)).masked_fill(~(far & seen[:, None]), -1)
    return (1 - cosines.amax(dim=2)).clamp(0, 1) * seen


class Agreement(NamedTuple):
    """By pair (P,): the share of the cells in view that agree, times their cosine, and whether one is mirrored."""

    share: Tensor
    mirrored: Tensor


def agreement(one: Grids, other: Grids) -> Agreement:
    """How far the pictures of pairs are the same, 0 to 1.

    Cells that are each other's most similar ones are matched. A scale and a shift for each axis are fitted to the
    matches, upright and mirrored, and what they leave far apart does not count.
    """
    found = [_share(one, other, mirrored) for mirrored in (False, True)]
    return Agreement(torch.maximum(*found), found[1] > found[0])


def _share(one: Grids, other: Grids, mirrored: bool) -> Tensor:
    cosine, column, matched = _matches(one, other)
    start = one.places
    if mirrored:
        start = torch.stack([1 - start[..., 0], start[..., 1]], dim=-1)
    end = other.places.gather(1, column[..., None].expand(-1, -1, 2))
    scale, shift = torch.ones(len(start), 1, 2), torch.zeros(len(start), 1, 2)
    for tolerance in TOLERANCES:
        near = matched & ((start * scale + shift - end).abs() < tolerance).all(dim=-1)
        scale, shift = _fit(start, end, near)
    moved = start * scale + shift
    agree = matched & ((moved - end).abs() < EXACT).all(dim=-1) & (near.sum(dim=1, keepdim=True) >= LEAST)
    in_view = ((moved > 0) & (moved < 1)).all(dim=-1)
    weight = one.weight * in_view
    return (cosine.clamp(min=0) * agree * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1e-6)


def _matches(one: Grids, other: Grids) -> tuple[Tensor, Tensor, Tensor]:
    """By cell (P, n) of the first: the cosine and number of the most similar one, and whether that is mutual."""
    cosines = one.cells @ other.cells.transpose(1, 2)
    cosines = cosines.masked_fill(~((one.weight > 0)[:, :, None] & (other.weight > 0)[:, None]), -2)
    best, column = cosines.max(dim=2)
    back = cosines.argmax(dim=1).gather(1, column)
    return best, column, (back == torch.arange(back.shape[1])) & (one.weight > 0)


def _fit(start: Tensor, end: Tensor, near: Tensor) -> tuple[Tensor, Tensor]:
    """The scale and shift (P, 1, 2) of each axis with the least squares over the cells that are ``near`` (P, n)."""
    weight = near[..., None].to(start.dtype)
    count = weight.sum(dim=1, keepdim=True).clamp(min=1)
    a, b = ((values * weight).sum(dim=1, keepdim=True) / count for values in (start, end))
    along = (weight * (start - a) * (end - b)).sum(dim=1, keepdim=True)
    scale = along / (weight * (start - a).square()).sum(dim=1, keepdim=True).clamp(min=1e-6)
    scale = scale.clamp(1 / ZOOM, ZOOM)
    return scale, b - a * scale
