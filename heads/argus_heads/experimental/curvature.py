"""Detection as curvature: features are a surface, and a box runs as far as the surface stays flat."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from argus_core.border import repeat_border
from argus_core.cofiber import upsample2
from argus_core.detection.blocks import ConvGN
from argus_core.detection.curvature import CURVATURES, curvatures
from argus_core.detection.dense import DenseOutput, Level
from argus_core.detection.light import LightHead, halvings
from argus_core.detection.survival import survival
from argus_core.precision import full_precision
from argus_core.tasks.detect import Detect
from argus_core.tokens import FeatureInfo, Features, cell_mask

STEPS = (1, 2)
"""Cells over which differences are taken."""

WALL = 20.0
"""Cost that ends every ray."""


class Boundary(nn.Module):
    """Cost of crossing a cell to each side: ``relu(W |c| - b)`` of curvatures c, W and b positive.

    Bending can only add cost. Magnitudes, because the sign of Gaussian curvature tells saddles from domes, not
    boundaries from interiors.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((4, channels), math.log(math.expm1(1 / channels))))
        self.free = nn.Parameter(torch.full((4,), math.log(math.expm1(0.5))))

    def forward(self, c: Tensor) -> Tensor:
        """(B, channels, h, w) to (B, 4, h, w): left, top, right, bottom."""
        cost = torch.einsum("dc,bchw->bdhw", F.softplus(self.weight), c.abs())
        return (cost - F.softplus(self.free)[:, None, None]).relu()


class Curvature(LightHead):
    """The light head whose box sides are rays through a cost of curvature; its tower only corrects them.

    ``surface`` channels of the features, over the grid, are the surface (Koenderink & van Doorn 1992 on its shape).
    """

    def __init__(self, info: FeatureInfo, task: Detect, *, width: int = 192, surface: int = 32) -> None:
        super().__init__(info, task, width=width)
        self.stride = 2 * self.strides[0]
        bends = CURVATURES * len(STEPS)
        self.surface = nn.Conv2d(self.taps.channels, surface, 1, bias=False)
        self.boundary = Boundary(bends)
        self.mix = ConvGN(width + bends, width, 1)
        self.gain = nn.Parameter(torch.zeros(4))

    def forward(self, features: Features) -> DenseOutput:
        """Logits, distances and centre-ness at five levels, at ``strides`` pixels."""
        features = self.taps.view(features)
        bends = self.bends(features)
        levels = self.towers(self.pyramid(self.mix(torch.cat([self.stem(features.map), bends], dim=1))))
        reach = self.stride * self.gain.exp()[:, None, None] * (self.runs(bends, features.extent) + 0.5)
        grid = (2 * reach.shape[2], 2 * reach.shape[3])
        pairs = zip(levels, (upsample2(reach, grid), reach, *halvings(reach)), self.strides, strict=True)
        # A level's distances are its stride times the tower's factor; only that factor is wanted.
        corrected = (Level(level.cls, level.ltrb / stride * base, level.quality) for level, base, stride in pairs)
        return DenseOutput(tuple(corrected), self.strides, features.extent)

    def bends(self, features: Features) -> Tensor:
        """(B, 12, h, w) of one map: compressed curvatures, those at an image's end as if there were no padding."""
        with full_precision(features.map.device):
            u = repeat_border(self.surface(features.map), self.stride, features.extent)
            return torch.cat([curvatures(u, step) for step in STEPS], dim=1).asinh()

    def runs(self, bends: Tensor, extent: Tensor) -> Tensor:
        """(B, 4, h, w): cells from each cell to a boundary or the image's end."""
        inside = cell_mask(extent, self.stride, (bends.shape[2], bends.shape[3]))
        with full_precision(bends.device):
            return survival(torch.where(inside, self.boundary(bends), WALL))
