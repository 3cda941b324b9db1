"""The taps of a head as one map, whatever strides they have."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from argus_core.errors import ArgusError
from argus_core.tokens.border import repeat_border
from argus_core.tokens.types import FeatureInfo, Features, Needs, cell_mask

T = TypeVar("T")
USUAL = (8, 16, 32)
"""Strides in pixels of the maps that dense heads read from a pyramid by default."""
QUARTERS = 4
AIM = 16
"""Taps are brought to the stride nearest to this one, in pixels."""


class Taps(nn.Module):
    """The taps of a head as one (B, ``channels``, h, w) map: stacked, or if ``project`` mixed into the last.

    Taps of several strides are brought to one, ``stride`` px, by default that of theirs which is nearest to 16: coarser
    ones bilinearly, finer ones by means, see ``restride``. ``project`` puts a LayerNorm on all taps but the last and a
    1x1 convolution on the stack. It starts as a copy of the last tap, so that training decides what the others add.
    """

    def __init__(self, info: FeatureInfo, needs: Needs, project: bool = False, stride: int | None = None) -> None:
        super().__init__()
        layers = needs.resolve(info).layers
        self.stride = common_stride(info, needs, stride)
        self.strides = [info.strides[layer] for layer in layers]
        widths = [info.channels[layer] for layer in layers]
        self.channels = widths[-1] if project else sum(widths)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for width in widths[:-1]) if project else None
        self.mix = nn.Conv2d(sum(widths), widths[-1], 1) if project else nn.Identity()
        if isinstance(self.mix, nn.Conv2d):
            nn.init.zeros_(self.mix.weight)
            nn.init.zeros_(self.mix.bias)  # type: ignore[arg-type]
            self.mix.weight.data[:, -widths[-1] :, 0, 0].fill_diagonal_(1)

    def forward(self, features: Features) -> Tensor:
        """One map of a head's features; zero where there is padding, but for what ``project`` puts there."""
        maps: Sequence[Tensor] = features.maps
        if self.norms is not None:
            normed = [_channel_norm(norm, x) for norm, x in zip(self.norms, maps[:-1], strict=True)]
            maps = [*normed, maps[-1]]
        if any(stride != self.stride for stride in self.strides):
            pairs = zip(maps, self.strides, strict=True)
            maps = [restride(x, stride, self.stride, features.extent, features.size) for x, stride in pairs]
        return self.mix(torch.cat(list(maps), dim=1))

    def view(self, features: Features) -> Features:
        """The same features with that map alone."""
        return replace(features, maps=(self(features),))

    def views(self, batches: Iterable[tuple[Features, T]]) -> Iterator[tuple[Features, T]]:
        """The ``view`` of every batch, with its targets."""
        return ((self.view(features), targets) for features, targets in batches)


def restride(x: Tensor, stride: int, to: int, extent: Tensor, size: tuple[int, int]) -> Tensor:
    """A (B, C, h, w) map of cells of ``stride`` px as one of cells of ``to`` px, zero where there is padding.

    Enlarged bilinearly as if the image ended with its last cell, or reduced to the mean of the cells that hold image:
    padding never counts. One stride must be a multiple of the other. ``extent`` (B, 2) is where the images end and
    ``size`` how large the canvas is, both height, width in canvas pixels.
    """
    if to == stride:
        return x
    if to > stride:
        return _mean(x, stride, to // stride, extent)
    x = F.interpolate(repeat_border(x, stride, extent), scale_factor=stride // to, mode="bilinear", align_corners=False)
    grid = (-(-size[0] // to), -(-size[1] // to))
    return x[..., : grid[0], : grid[1]] * cell_mask(extent, to, grid)


def _mean(x: Tensor, stride: int, step: int, extent: Tensor) -> Tensor:
    """Means of ``step`` x ``step`` cells, of those that hold image."""
    mask = cell_mask(extent, stride, (x.shape[2], x.shape[3]))
    even = (0, -x.shape[3] % step, 0, -x.shape[2] % step)
    total, count = (F.avg_pool2d(F.pad(part, even), step) for part in (x * mask, mask.to(x.dtype)))
    return total / count.clamp(min=0.5 / step**2)  # without image both are 0


def _channel_norm(norm: nn.Module, x: Tensor) -> Tensor:
    return norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def common_stride(info: FeatureInfo, needs: Needs, stride: int | None = None) -> int:
    """The stride in pixels that taps are brought to: ``stride``, or that of theirs which is nearest to 16.

    Raises ArgusError where a tap cannot be brought there, as its stride is neither a multiple nor a divisor.
    """
    held = sorted({info.strides[layer] for layer in needs.resolve(info).layers})
    to = min(held, key=lambda one: abs(math.log2(one / AIM))) if stride is None else stride
    if to < 1 or any(max(one, to) % min(one, to) for one in held):
        raise ArgusError(
            f"layers {list(needs.layers)} have strides {held}, which cannot be brought to {to} px; "
            "choose layers, or a stride, of which each is a multiple of the other"
        )
    return to


def default_layers(info: FeatureInfo) -> tuple[int, ...]:
    """What a dense head reads if nobody says: the last layer, or of a pyramid those of strides 8, 16 and 32."""
    if len(set(info.strides)) == 1:
        return (-1,)
    return pyramid_layers(info, USUAL) or (-1,)


def pyramid_layers(info: FeatureInfo, strides: Sequence[int]) -> tuple[int, ...]:
    """For each of ``strides`` that the backbone has, the last stage of it."""
    last = {stride: layer for layer, stride in enumerate(info.strides[: info.stages])}
    return tuple(last[stride] for stride in strides if stride in last)


def quarter_layers(depth: int) -> tuple[int, ...]:
    """The last layer of each quarter of a backbone of ``depth`` layers: 2, 5, 8, 11 of twelve."""
    if depth < QUARTERS:
        raise ArgusError(f"four layers are read, the backbone has {depth}; name layers that it has")
    return tuple(-(-depth * quarter // QUARTERS) - 1 for quarter in range(1, QUARTERS + 1))
