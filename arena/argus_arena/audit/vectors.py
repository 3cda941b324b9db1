"""One pass over cached tokens: a vector of each image, how much its cells vary, and what a cell is like on average."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from argus_arena.audit.opened import Opened
from argus_core.nn import nearest
from argus_core.tokens import Features, Needs, cell_mask
from argus_core.tokens.taps import preferred_layer, restride

SIDE = 16
"""Cells of the longer side of a canvas, at most, on which images are compared cell by cell."""


@dataclass(frozen=True)
class CellLayer:
    """The layer whose cells are compared, brought to cells of ``stride`` canvas pixels."""

    layer: int
    stride: int

    @classmethod
    def of(cls, opened: Opened) -> CellLayer | None:
        """That of stride nearest to 16 px; None of caches without maps."""
        if not opened.maps:
            return None
        layer = preferred_layer(opened.info, opened.layers)
        stride = opened.info.strides[layer]
        longest = max(opened.parts[0].source.canvas.size)
        while longest > SIDE * stride:
            stride *= 2
        return cls(layer, stride)

    def read(self, features: Features, stride: int) -> tuple[Tensor, Tensor]:
        """The cells (B, C, h, w) of features whose last map has cells of ``stride`` px, and which hold image."""
        cells = restride(features.map, stride, self.stride, features.extent, features.size)
        return cells, cell_mask(features.extent, self.stride, (cells.shape[2], cells.shape[3]))


@dataclass(frozen=True)
class Vectors:
    """What is known of all images: ``raw`` (N, C), CLS of the last layer or the mean of its cells.

    With maps also ``spread`` (N,), how much the cells of an image vary, and ``mean`` (C, h, w) of each cell.
    """

    raw: Tensor
    cells: CellLayer | None = None
    spread: Tensor | None = None
    mean: Tensor | None = None

    @property
    def unit(self) -> Tensor:
        """(N, C) of length 1, after the mean of all is taken away: cosines of unrelated images are then about 0."""
        return F.normalize(self.raw - self.raw.mean(dim=0), dim=1)


def read_vectors(opened: Opened, progress: Callable[[int], None] = lambda done: None) -> Vectors:
    """One pass over the tokens, of which the vectors stay in memory: 4 C bytes for each image."""
    cells, last = CellLayer.of(opened), opened.layers[-1]
    raw, spread = torch.zeros(len(opened), opened.info.channels[last]), torch.zeros(len(opened))
    total, count, done = torch.zeros(()), torch.zeros(()), 0
    for places, placed in opened.read(range(len(opened))):
        features = placed.tokens.features(Needs((last,), maps=not opened.cls, cls=opened.cls))
        raw[places] = features.cls[0] if opened.cls else cell_means(features, opened.info.strides[last])
        if cells is not None:
            own = placed.tokens.features(Needs((cells.layer,)))
            values, mask = cells.read(own, opened.info.strides[cells.layer])
            spread[places] = _spread(values, mask)
            total, count = total + values.sum(dim=0), count + mask.sum(dim=0)
        done += len(places)
        progress(done)
    if cells is None:
        return Vectors(raw)
    return Vectors(raw, cells, spread, total / count.clamp(min=1))


def cell_means(features: Features, stride: int) -> Tensor:
    """(B, C) means over the cells that hold image."""
    mask = cell_mask(features.extent, stride, (features.map.shape[2], features.map.shape[3]))
    return features.map.sum(dim=(2, 3)) / mask.sum(dim=(2, 3)).clamp(min=1)


def _spread(cells: Tensor, mask: Tensor) -> Tensor:
    """(B,) root of the mean squared distance of an image's cells from their mean."""
    count = mask.sum(dim=(2, 3), keepdim=True).clamp(min=1)
    mean = cells.sum(dim=(2, 3), keepdim=True) / count
    return (((cells - mean) * mask).square().sum(dim=1) / count[:, 0]).sum(dim=(1, 2)).sqrt()


@dataclass(frozen=True)
class Neighbours:
    """The most similar other images of each image: cosines and numbers (N, k), the most similar first."""

    cosines: Tensor
    numbers: Tensor


def find_neighbours(unit: Tensor, k: int) -> Neighbours:
    """The ``k`` nearest others of all rows, or all others if there are fewer; exact, in bounded memory."""
    k = min(k, len(unit) - 1)
    cosines, numbers = nearest(unit, unit, k + 1)
    own = numbers == torch.arange(len(unit))[:, None]
    own[:, -1] |= ~own.any(dim=1)  # where as many others are equal to it, the last one goes
    others = ~own
    return Neighbours(cosines[others].view(len(unit), k), numbers[others].view(len(unit), k))
