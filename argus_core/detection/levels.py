"""From a backbone's taps to the maps of a detection pyramid."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from argus_core.detection.blocks import ConvGN, UpGN
from argus_core.errors import ArgusError
from argus_core.nn import upsample2
from argus_core.tokens import FeatureInfo, Needs

LEVELS = 5
"""Levels of a pyramid as in FCOS: P3 to P7."""


def pyramid_strides(stride: int) -> tuple[int, ...]:
    """Half the backbone's ``stride`` to eight times it: 8 to 128 for a ViT with 16-pixel patches."""
    if stride % 2:
        raise ArgusError(
            f"a stride of {stride} px cannot be halved; a pyramid needs an even one: another backbone, or layer"
        )
    return tuple(stride * 2**level // 2 for level in range(LEVELS))


class SimplePyramid(nn.Module):
    """Five levels from one map, all ``width`` channels (the simple feature pyramid of ViTDet, Li 2022).

    The full form resizes at the backbone's channels and narrows afterwards; the ``slim`` one narrows first
    and takes every coarse level from the one before.
    """

    def __init__(self, channels: int, width: int, slim: bool = False) -> None:
        super().__init__()
        inner = width if slim else channels
        self.up = UpGN(channels, inner)
        self.fine = ConvGN(width, width) if slim else _tail(channels, width)
        self.middle = _tail(channels, width)
        self.down = (
            None if slim else nn.Sequential(ConvGN(channels, channels, stride=2, act=True), _tail(channels, width))
        )
        self.coarse = nn.ModuleList(ConvGN(width, width, stride=2) for _ in range(3 if slim else 2))

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, C, h, w) to maps of 2h x 2w, h x w, and three of half the size each, rounded up."""
        levels = [self.fine(self.up(x)), self.middle(x)]
        if self.down is not None:
            levels.append(self.down(x))
        for step, conv in enumerate(self.coarse):
            levels.append(conv(F.gelu(levels[-1]) if step else levels[-1]))
        return levels


class FeaturePyramid(nn.Module):
    """Five levels from layers whose strides double (Lin 2017), each at its own stride; coarser levels are learned.

    Every layer is narrowed to ``width``, added to the coarser ones, and smoothed.
    """

    def __init__(self, info: FeatureInfo, needs: Needs, width: int) -> None:
        super().__init__()
        layers = needs.resolve(info).layers
        strides = [info.strides[layer] for layer in layers]
        self.strides = tuple(strides[0] * 2**level for level in range(LEVELS))
        if not 1 < len(strides) <= LEVELS or strides != list(self.strides[: len(strides)]):
            raise ArgusError(f"layers {list(layers)} have strides {strides}; a pyramid needs two to five that double")
        self.laterals = nn.ModuleList(ConvGN(info.channels[layer], width, 1) for layer in layers)
        self.smooth = nn.ModuleList(ConvGN(width, width) for _ in layers)
        self.coarse = nn.ModuleList(ConvGN(width, width, stride=2) for _ in range(LEVELS - len(strides)))

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """One (B, C_i, h_i, w_i) map per layer to maps of ``width`` channels at ``strides``."""
        path = [lateral(x) for lateral, x in zip(self.laterals, maps, strict=True)]
        for fine in reversed(range(len(path) - 1)):
            path[fine] = path[fine] + upsample2(path[fine + 1], (path[fine].shape[2], path[fine].shape[3]))
        levels = [smooth(x) for smooth, x in zip(self.smooth, path, strict=True)]
        for conv in self.coarse:
            levels.append(conv(F.gelu(levels[-1])))
        return levels


def _tail(channels: int, width: int) -> nn.Sequential:
    return nn.Sequential(ConvGN(channels, width, 1), ConvGN(width, width))


def sine_code(
    grid: tuple[int, int],
    stride: int,
    size: tuple[int, int],
    channels: int,
    device: torch.device | None = None,
) -> Tensor:
    """(channels, h, w) fixed code in -1..1 of where each cell's centre lies on a canvas of ``size`` pixels.

    Sine and cosine of x and y at channels / 4 frequencies, from a quarter of a wave to 16 waves along the
    canvas's longer side: the lowest tells all places apart, the highest neighbouring cells.
    """
    if channels % 4:
        raise ArgusError(f"{channels} sine channels cannot hold sine and cosine of x and y; use a multiple of 4")
    waves = 0.25 * 64 ** torch.linspace(0, 1, channels // 4, device=device)
    axes = [(torch.arange(cells, device=device) + 0.5) * stride / max(size) for cells in grid]
    y, x = (2 * torch.pi * waves[:, None] * axis for axis in axes)  # (F, h), (F, w)
    rows = torch.cat([y.sin(), y.cos()])[:, :, None].expand(-1, -1, grid[1])
    cols = torch.cat([x.sin(), x.cos()])[:, None, :].expand(-1, grid[0], -1)
    return torch.cat([rows, cols])
