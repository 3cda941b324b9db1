"""A detector in min-plus arithmetic: erosions and dilations, and boxes as shortest paths to a boundary."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from argus_core.detection import (
    PRIOR,
    ConvGN,
    DenseHead,
    DenseOutput,
    Level,
    MeanPyramid,
    Tower,
    prediction,
    pyramid_strides,
)
from argus_core.errors import ArgusError
from argus_core.nn import full_precision
from argus_core.recipe import Recipe
from argus_core.tasks.detect import Detect
from argus_core.tokens import FeatureInfo, Features, Needs, Taps, default_layers

ROWS = 8
"""Rows of the matrix that are computed at once, so that memory never holds all products."""
FAR = 3.0
"""Initial cost of another channel, about the range of an activation, so that channels start separate."""
REACH = 4.0
"""Initial cells to each side: half the square in which assignment accepts a location."""


def min_plus(x: Tensor, matrix: Tensor, temperature: float) -> Tensor:
    """(B, I, h, w) ``min_j(matrix_ij + x_j)`` of (B, J, h, w) maps and an (I, J) matrix, float32.

    Gradients need rows of ``matrix`` that span less than 60 temperatures; beyond, they underflow to zero.
    """
    with torch.no_grad():
        parts = [(x[:, None] + rows[:, :, None, None]).amin(dim=2) for rows in matrix.split(ROWS)]
        exact = torch.cat(parts, dim=1)
    if not torch.is_grad_enabled():
        return exact
    # exp turns sums into products: the soft minimum of all pairs is one ordinary matrix product.
    low_x = x.detach().amin(dim=1, keepdim=True)  # (B, 1, h, w)
    low = matrix.detach().amin(dim=1, keepdim=True)  # (I, 1)
    shares = torch.einsum("ij,bjhw->bihw", ((low - matrix) / temperature).exp(), ((low_x - x) / temperature).exp())
    return _with_gradient(exact, low_x + low[:, :, None] - temperature * shares.clamp(min=1e-30).log())


def path(cost: Tensor, dim: int, temperature: float) -> Tensor:
    """``min_{k >= 0} (k + cost(i - k))`` along ``dim``: the fewest steps back to a cell plus its cost.

    A distance transform in one direction (Felzenszwalb & Huttenlocher 2012), in linear time.
    """
    position = torch.arange(cost.shape[dim], device=cost.device, dtype=cost.dtype)
    position = position.view([-1 if axis == dim % cost.ndim else 1 for axis in range(cost.ndim)])
    exact = (cost.detach() - position).cummin(dim).values + position
    if not torch.is_grad_enabled():
        return exact
    return _with_gradient(exact, position - temperature * ((position - cost) / temperature).logcumsumexp(dim))


def rays(cost: Tensor, temperature: float) -> Tensor:
    """(B, 4, h, w) ``path`` of every cell to the left, top, right and bottom; ``cost`` has the same shape and order."""
    left, top, right, bottom = cost.unbind(1)
    paths = (
        path(left, -1, temperature),
        path(top, -2, temperature),
        path(right.flip(-1), -1, temperature).flip(-1),
        path(bottom.flip(-2), -2, temperature).flip(-2),
    )
    return torch.stack(paths, dim=1)


def _with_gradient(exact: Tensor, soft: Tensor) -> Tensor:
    """The value of ``exact`` with the gradient of ``soft``."""
    return exact + (soft - soft.detach())


def erode(x: Tensor, weight: Tensor) -> Tensor:
    """``min_k(x(p + k) + weight_k)`` over 3x3 cells of each channel; cells beyond the border are infinite."""
    windows = F.pad(x, (1, 1, 1, 1), value=torch.inf).unfold(2, 3, 1).unfold(3, 3, 1)  # (B, C, h, w, 3, 3)
    return (windows + weight[:, None, None]).amin(dim=(-2, -1))


class TropicalBlock(nn.Module):
    """Erosion and dilation of 3x3 cells, the latter with channels mixed by a min-plus product, joined linearly.

    Such layers compute piecewise linear functions, as networks of rectifiers do, by minima and maxima
    (Zhang, Naitzat & Lim 2018; Maragos, Charisopoulos & Theodosis 2021).
    """

    def __init__(self, width: int, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature
        self.down, self.up = (nn.Parameter(torch.zeros(width, 3, 3)) for _ in range(2))
        self.channels = nn.Parameter(FAR * (1 - torch.eye(width)))
        self.join = ConvGN(2 * width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Keeps (B, width, h, w)."""
        with full_precision(x.device):
            x = x.float()
            parts = erode(x, self.down), min_plus(-erode(-x, -self.up), self.channels, self.temperature)
        return x + self.join(torch.cat(parts, dim=1))


class PathTower(nn.Module):
    """One tower for all levels; box sides are shortest paths over learned boundary costs."""

    def __init__(self, width: int, classes: int, strides: Sequence[int], temperature: float) -> None:
        super().__init__()
        self.tower = Tower(width, convs=1, residuals=1)
        self.classifier = prediction(width, classes, prior=PRIOR)
        self.ctr, self.cost = prediction(width, 1), prediction(width, 4)
        nn.init.constant_(self.cost.bias, REACH)  # type: ignore[arg-type]
        self.scales = nn.Parameter(torch.zeros(len(strides)))
        self.strides, self.temperature = tuple(strides), temperature

    def forward(self, levels: Sequence[Tensor]) -> tuple[Level, ...]:
        """One (B, width, h_i, w_i) map per stride to logits and distances in canvas pixels, float32."""
        return tuple(map(self._level, levels, self.strides, self.scales))

    def _level(self, x: Tensor, stride: int, scale: Tensor) -> Level:
        x = self.tower(x)
        with full_precision(x.device):
            cells = rays(F.softplus(self.cost(x.float())), self.temperature)
        return Level(self.classifier(x).float(), (cells + 0.5) * stride * scale.exp(), self.ctr(x).float())


class Tropical(DenseHead):
    """``blocks`` tropical blocks, then boxes by min-plus: a side lies where steps plus boundary cost are lowest.

    ``temperature`` softens gradients, not values. It has no schedule, because a head does not know how long it is
    trained.
    """

    recipe = Recipe(lr=1e-3, batch=16, epochs=12)

    def __init__(
        self, info: FeatureInfo, task: Detect, *, width: int = 128, blocks: int = 3, temperature: float = 0.5
    ) -> None:
        super().__init__(info, task)
        if temperature < 0.1:  # rows of the channel matrix span 3 and more
            raise ArgusError(f"temperature={temperature} lets gradients vanish; use at least 0.1")
        self.needs = Needs(layers=default_layers(info))
        self.taps = Taps(info, self.needs)
        self.strides = pyramid_strides(self.taps.stride)
        self.stem = nn.Sequential(
            ConvGN(self.taps.channels, width, 1, act=True),
            *(TropicalBlock(width, temperature) for _ in range(blocks)),
        )
        self.pyramid = MeanPyramid(width)
        self.tower = PathTower(width, len(task.classes), self.strides, temperature)

    def forward(self, features: Features) -> DenseOutput:
        """Logits, distances and centre-ness at five levels, at ``strides`` pixels."""
        return DenseOutput(self.tower(self.pyramid(self.stem(self.taps(features)))), self.strides, features.extent)
