"""The layers that a head reads as one map, whatever their strides."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from argus_core.errors import ArgusError
from argus_core.tokens.border import repeat_border
from argus_core.tokens.types import FeatureInfo, Features, Needs, cell_mask

T = TypeVar("T")
PYRAMID_STRIDES = (8, 16, 32)
"""Strides in pixels of the maps that dense heads read from a pyramid by default."""
QUARTERS = 4
PREFERRED_STRIDE = 16
"""In pixels; maps are resampled to the stride among theirs that is nearest to it."""


class EmbeddingLayers(NamedTuple):
    """The layer whose map is pooled over objects, and that whose CLS stands for the image, counted from the first."""

    objects: int
    images: int

    @property
    def needs(self) -> Needs:
        """What a pass must give for both."""
        return Needs(self, cls=True)


class Taps(nn.Module):
    """The maps of a head's layers as one (B, ``channels``, h, w) map: stacked, or with ``project`` mixed into the last.

    Maps of several strides are resampled to one, ``stride`` px, by default the one of theirs that is nearest to 16, see
    ``restride``. ``project`` adds a LayerNorm to all maps but the last, and a 1x1 convolution of the stack that starts
    as a copy of the last map, so that training decides what the others contribute.
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
        """One map of a head's features; zero in padding unless ``project`` changes that."""
        maps: Sequence[Tensor] = features.maps
        if self.norms is not None:
            normed = [_channel_norm(norm, x) for norm, x in zip(self.norms, maps[:-1], strict=True)]
            maps = [*normed, maps[-1]]
        if any(stride != self.stride for stride in self.strides):
            pairs = zip(maps, self.strides, strict=True)
            maps = [restride(x, stride, self.stride, features.extent, features.size) for x, stride in pairs]
        return self.mix(torch.cat(list(maps), dim=1))

    def view(self, features: Features) -> Features:
        """The features with only that map."""
        return replace(features, maps=(self(features),))

    def views(self, batches: Iterable[tuple[Features, T]]) -> Iterator[tuple[Features, T]]:
        """The ``view`` of every batch, with its targets."""
        return ((self.view(features), targets) for features, targets in batches)


def restride(x: Tensor, stride: int, to: int, extent: Tensor, size: tuple[int, int]) -> Tensor:
    """Resample a (B, C, h, w) map from cells of ``stride`` px to cells of ``to`` px; padding becomes zero.

    Maps are enlarged bilinearly, or reduced to the mean of the cells that hold image; padding has no influence. One
    stride must be a multiple of the other. ``extent`` (B, 2) is where the images end and ``size`` the size of the
    canvas, both height, width in canvas pixels.
    """
    if to == stride:
        return x
    if to > stride:
        return _mean(x, stride, to // stride, extent)
    x = F.interpolate(repeat_border(x, stride, extent), scale_factor=stride // to, mode="bilinear", align_corners=False)
    grid = (-(-size[0] // to), -(-size[1] // to))
    return x[..., : grid[0], : grid[1]] * cell_mask(extent, to, grid)


def _mean(x: Tensor, stride: int, step: int, extent: Tensor) -> Tensor:
    """Means over blocks of ``step`` x ``step`` cells, of those that hold image."""
    mask = cell_mask(extent, stride, (x.shape[2], x.shape[3]))
    padding = (0, -x.shape[3] % step, 0, -x.shape[2] % step)
    total, count = (F.avg_pool2d(F.pad(part, padding), step) for part in (x * mask, mask.to(x.dtype)))
    return total / count.clamp(min=0.5 / step**2)  # without image both are 0


def _channel_norm(norm: nn.Module, x: Tensor) -> Tensor:
    return norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def common_stride(info: FeatureInfo, needs: Needs, stride: int | None = None) -> int:
    """The stride in pixels that maps are resampled to: ``stride``, or the one of theirs that is nearest to 16.

    Raises ArgusError unless it is a multiple or a divisor of the stride of every map.
    """
    strides = sorted({info.strides[layer] for layer in needs.resolve(info).layers})
    to = min(strides, key=_from_preferred) if stride is None else stride
    if to < 1 or any(max(own, to) % min(own, to) for own in strides):
        raise ArgusError(
            f"layers {list(needs.layers)} have strides {strides}, which cannot be brought to {to} px; "
            "choose layers, or a stride, of which each is a multiple of the other"
        )
    return to


def preferred_layer(info: FeatureInfo, layers: Iterable[int]) -> int:
    """The last of some layers, counted from the first, among those of the stride that is nearest to 16 px."""
    return min(layers, key=lambda layer: (_from_preferred(info.strides[layer]), -layer))


def _from_preferred(stride: int) -> float:
    return abs(math.log2(stride / PREFERRED_STRIDE))


def default_layers(info: FeatureInfo) -> tuple[int, ...]:
    """The default layers of a dense head: the last one, or of a pyramid those of strides 8, 16 and 32."""
    if len(set(info.strides)) == 1:
        return (-1,)
    return pyramid_layers(info, PYRAMID_STRIDES) or (-1,)


def pyramid_layers(info: FeatureInfo, strides: Sequence[int]) -> tuple[int, ...]:
    """The last stage of each of the ``strides`` that the backbone has."""
    last = {stride: layer for layer, stride in enumerate(info.strides[: info.stages])}
    return tuple(last[stride] for stride in strides if stride in last)


def quarter_layers(depth: int) -> tuple[int, ...]:
    """The last layer of each quarter of a backbone, such as 2, 5, 8 and 11 of twelve."""
    if depth < QUARTERS:
        raise ArgusError(f"four layers are read, the backbone has {depth}; name layers that it has")
    return tuple(-(-depth * quarter // QUARTERS) - 1 for quarter in range(1, QUARTERS + 1))
