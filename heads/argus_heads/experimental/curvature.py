"""Detection as curvature: features are a surface, and a box runs as far as the surface stays flat."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from argus_core.detection import ConvGN, DenseOutput, Level, LightHead, halvings
from argus_core.nn import full_precision, upsample2
from argus_core.tasks.detect import Detect
from argus_core.tokens import FeatureInfo, Features, cell_mask, repeat_border

STEPS = (1, 2)
"""Cells over which differences are taken."""
CURVATURES = 6
TINY = 1e-12
"""Added under square roots, whose slope at zero is infinite."""
WALL = 20.0
"""Cost that ends every ray."""


def curvatures(u: Tensor, step: int = 1) -> Tensor:
    """(B, 6, h, w) of the surface (x, y, u(x, y)) in cells, from central differences over ``step`` cells.

    In order: Gaussian curvature K, mean curvature |H|, the whole second form |II|, and the normal curvatures
    |II11| / g11, |II22| / g22, |II12| / sqrt(g11 g22) along the grid's axes. The border of ``u`` (B, C, h, w) is
    repeated. All are invariant to rotations of the channels, and zero for constants and ramps.
    """
    first, second = _derivatives(u, step)
    flat = torch.eye(2, device=u.device, dtype=u.dtype)[:, :, None, None, None]
    g = flat + torch.einsum("bichw,bjchw->ijbhw", first, first)
    determinant = g[0, 0] * g[1, 1] - g[0, 1].square()  # at least 1
    inverse = torch.stack([g[1, 1], -g[0, 1], -g[0, 1], g[0, 0]]).unflatten(0, (2, 2)) / determinant
    tangent = torch.einsum("bmchw,bichw->mibhw", second, first)
    # Products of the normal parts II_m, m = 11, 12, 22: second derivatives without their tangential part.
    normal = torch.einsum("bmchw,bnchw->mnbhw", second, second)
    normal = normal - torch.einsum("mibhw,ijbhw,njbhw->mnbhw", tangent, inverse, tangent)
    trace = torch.stack([inverse[0, 0], 2 * inverse[0, 1], inverse[1, 1]])
    gauss = (normal[0, 2] - normal[1, 1]) / determinant
    mean = torch.einsum("mbhw,mnbhw,nbhw->bhw", trace, normal, trace) / 4  # |H|^2
    whole = 4 * mean - 2 * gauss  # |II|^2, from Gauss's equation
    along = normal[0, 0] / g[0, 0].square(), normal[2, 2] / g[1, 1].square(), normal[1, 1] / (g[0, 0] * g[1, 1])
    roots = torch.stack([mean, whole, *along], dim=1).clamp(min=0)
    return torch.cat([gauss[:, None], (roots + TINY).sqrt()], dim=1)


def _derivatives(u: Tensor, step: int) -> tuple[Tensor, Tensor]:
    """(B, 2, C, h, w) by x and y, and (B, 3, C, h, w) by xx, xy and yy."""
    rows, cols = u.shape[2:]
    wide = F.pad(u, (step, step, step, step), mode="replicate")

    def at(down: int, right: int) -> Tensor:
        top, left = step * (1 + down), step * (1 + right)
        return wide[..., top : top + rows, left : left + cols]

    first = torch.stack([at(0, 1) - at(0, -1), at(1, 0) - at(-1, 0)], dim=1) / (2 * step)
    xx, yy = at(0, 1) - 2 * u + at(0, -1), at(1, 0) - 2 * u + at(-1, 0)
    xy = (at(1, 1) - at(1, -1) - at(-1, 1) + at(-1, -1)) / 4
    return first, torch.stack([xx, xy, yy], dim=1) / step**2


def survival(cost: Tensor) -> Tensor:
    """(B, 4, h, w) cells that a ray from each cell runs to the left, top, right and bottom, without the cell itself.

    ``S = sum_m exp(-(cost of the first m cells on the way))``: free cells count 1 up to the border, and a cell of high
    cost ends the ray. ``cost`` has the same shape and order and is not negative.
    """
    left, top, right, bottom = cost.unbind(1)
    rays = _left(left), _left(top.mT).mT, _left(right.flip(-1)).flip(-1), _left(bottom.mT.flip(-1)).flip(-1).mT
    return torch.stack(rays, dim=1)


def _left(cost: Tensor) -> Tensor:
    """Survival to the left: ``S(x) = exp(-cost(x - 1)) * (1 + S(x - 1))`` for all x at once."""
    total = F.pad(cost.cumsum(-1), (1, 0))  # of all cells before x
    return F.pad((total[..., :-1].logcumsumexp(-1) - total[..., 1:]).exp(), (1, 0))[..., :-1]


class Boundary(nn.Module):
    """Cost of crossing a cell to each side: ``relu(W |c| - b)`` of curvatures c, with W and b positive.

    Bending can only add cost. Magnitudes are used because the sign of Gaussian curvature separates saddles from
    domes, not boundaries from interiors.
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
    """The light head with box sides from rays through a cost of curvature, which its tower only corrects.

    The surface is the graph of ``surface`` channels over the grid (Koenderink & van Doorn 1992 on its shape).
    """

    def __init__(self, info: FeatureInfo, task: Detect, *, width: int = 192, surface: int = 32) -> None:
        super().__init__(info, task, width=width)
        self.stride = 2 * self.strides[0]
        channels = CURVATURES * len(STEPS)
        self.surface = nn.Conv2d(self.taps.channels, surface, 1, bias=False)
        self.boundary = Boundary(channels)
        self.mix = ConvGN(width + channels, width, 1)
        self.gain = nn.Parameter(torch.zeros(4))

    def forward(self, features: Features) -> DenseOutput:
        """Logits, distances and centre-ness at five levels, at ``strides`` pixels."""
        features = self.taps.view(features)
        bends = self.bends(features)
        levels = self.towers(self.pyramid(self.mix(torch.cat([self.stem(features.map), bends], dim=1))))
        reach = self.stride * self.gain.exp()[:, None, None] * (self.runs(bends, features.extent) + 0.5)
        grid = (2 * reach.shape[2], 2 * reach.shape[3])
        pairs = zip(levels, (upsample2(reach, grid), reach, *halvings(reach)), self.strides, strict=True)
        # A level's distances are its stride times the tower's factor; only the factor is used.
        corrected = (Level(level.cls, level.ltrb / stride * base, level.quality) for level, base, stride in pairs)
        return DenseOutput(tuple(corrected), self.strides, features.extent)

    def bends(self, features: Features) -> Tensor:
        """(B, 12, h, w) compressed curvatures of one map, at an image's edge as if there were no padding."""
        with full_precision(features.map.device):
            u = repeat_border(self.surface(features.map), self.stride, features.extent)
            return torch.cat([curvatures(u, step) for step in STEPS], dim=1).asinh()

    def runs(self, bends: Tensor, extent: Tensor) -> Tensor:
        """(B, 4, h, w): cells from each cell to a boundary or the image's edge."""
        visible = cell_mask(extent, self.stride, (bends.shape[2], bends.shape[3]))
        with full_precision(bends.device):
            return survival(torch.where(visible, self.boundary(bends), WALL))
