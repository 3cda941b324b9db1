"""The parts of a dense prediction transformer (DPT, Ranftl 2021), independent of padding.

Convolutions see zeros in padding, and resizing sees the repeated border of the image, so that an image gives the same
prediction on any canvas that holds it at the same scale.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from argus_core.errors import ArgusError
from argus_core.nn.winograd import Conv3x3
from argus_core.tokens import FeatureInfo, Features, Needs, cell_mask, pyramid_layers, quarter_layers, repeat_border

LEVELS = 4
USUAL = (4, 8, 16, 32)


class Residual(nn.Module):
    """``x + conv(ReLU(conv(ReLU(x))))`` with 3x3 convolutions that keep ``width`` channels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = Conv3x3(width, width)
        self.second = Conv3x3(width, width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, width, h, w); ``mask`` (B, 1, h, w) is 0 in padding."""
        inner = self.first(F.relu(x) * mask)
        return x + self.second(F.relu(inner) * mask)


class Fusion(nn.Module):
    """Adds a tap to the path from the coarser levels, refines the sum and mixes its channels.

    The coarsest tap starts the path: it has no coarser path, and both residual units act on the tap.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.skip = Residual(width)
        self.refine = Residual(width)
        self.mix = nn.Conv2d(width, width, 1)

    def forward(self, path: Tensor | None, tap: Tensor, mask: Tensor) -> Tensor:
        """(B, width, h, w) from a path and a tap of that shape."""
        tap = self.skip(tap, mask)
        # Mixing and enlarging commute; mixing first takes a quarter of the time.
        return self.mix(self.refine(tap if path is None else path + tap, mask))


class Reassemble(nn.Module):
    """Turns a tap of ``stride`` into a map of stride ``to`` and ``width`` channels.

    It has a LayerNorm, a linear map, a bilinear resize and a 3x3 convolution.
    """

    def __init__(self, channels: int, width: int, stride: int, to: int) -> None:
        super().__init__()
        self.strides = (stride, to)
        self.norm = nn.LayerNorm(channels)
        self.project = nn.Linear(channels, width)
        self.conv = Conv3x3(width, width)

    def forward(self, tap: Tensor, extent: Tensor) -> Tensor:
        """(B, channels, h, w) to (B, width, h', w')."""
        x = self.project(self.norm(tap.permute(0, 2, 3, 1))).permute(0, 3, 1, 2)
        x = resize(x, *self.strides, extent)
        return self.conv(x * cell_mask(extent, self.strides[1], (x.shape[2], x.shape[3])))


def resize(x: Tensor, stride: int, to: int, extent: Tensor) -> Tensor:
    """A map (B, C, h, w) of ``stride`` bilinearly at the finer stride ``to``, or the coarser of twice ``stride``.

    Per axis, finer grids have ``stride / to`` times as many cells, the coarser one half of them, rounded up.
    """
    if stride == to:
        return x
    x = repeat_border(x, stride, extent)
    if to > stride:
        return F.avg_pool2d(F.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2), mode="replicate"), 2)
    return F.interpolate(x, scale_factor=stride // to, mode="bilinear", align_corners=False)


class Decoder(nn.Module):
    """Fuses the four taps of ``needs`` from coarse to fine into one map of ``width`` channels and ``stride`` px.

    Taps of equal strides become maps of a quarter, a half, one and two times that stride; those of a pyramid keep
    theirs. ``double`` enlarges the last map once more, as published.
    """

    def __init__(self, info: FeatureInfo, needs: Needs, width: int, double: bool) -> None:
        super().__init__()
        taps = needs.resolve(info).layers
        strides = [info.strides[layer] for layer in taps]
        self.strides = level_strides(strides)
        if double and self.strides[0] % 2:
            raise ArgusError(f"the last map's stride of {self.strides[0]} px cannot be halved; set double=false")
        self.stride = self.strides[0] // 2 if double else self.strides[0]
        self.reassemble = nn.ModuleList(
            Reassemble(info.channels[layer], width, stride, to)
            for layer, stride, to in zip(taps, strides, self.strides, strict=True)
        )
        self.fusion = nn.ModuleList(Fusion(width) for _ in taps)

    def forward(self, features: Features) -> Tensor:
        """(B, width, h, w) of the cells that begin on the canvas, zero in padding."""
        extent = features.extent
        taps = [reassemble(tap, extent) for reassemble, tap in zip(self.reassemble, features.maps, strict=True)]
        path: Tensor | None = None
        for level in reversed(range(LEVELS)):
            tap = taps[level]
            if path is not None:
                path = resize(path, self.strides[level + 1], self.strides[level], extent)
                path = path[..., : tap.shape[2], : tap.shape[3]]  # a grid of odd size, doubled from its rounded half
            path = self.fusion[level](path, tap, cell_mask(extent, self.strides[level], (tap.shape[2], tap.shape[3])))
        assert path is not None
        path = resize(path, self.strides[0], self.stride, extent)
        rows, cols = (-(-n // self.stride) for n in features.size)
        path = path[..., :rows, :cols]
        return path * cell_mask(extent, self.stride, (path.shape[2], path.shape[3]))


def four_layers(info: FeatureInfo) -> tuple[int, ...]:
    """The layers to fuse by default: those of strides 4 to 32 px, or the last layer of each quarter."""
    usual = pyramid_layers(info, USUAL)
    return usual if len(usual) == LEVELS else quarter_layers(info.depth)


def level_strides(strides: Sequence[int]) -> tuple[int, ...]:
    """The strides that taps of ``strides`` are resized to, each twice the previous one."""
    if len(strides) != LEVELS:
        raise ArgusError(f"DPT fuses four layers, not {len(strides)}")
    alike = len(set(strides)) == 1
    if alike and strides[0] % 4:
        raise ArgusError(f"a stride of {strides[0]} px has no quarter; choose layers with a multiple of 4 px")
    levels = tuple((strides[0] // 4 if alike else strides[0]) * 2**level for level in range(LEVELS))
    if not alike and levels != tuple(strides):
        raise ArgusError(f"layers of strides {list(strides)} are not a pyramid; choose doubling strides, or equal ones")
    return levels
