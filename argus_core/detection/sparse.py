"""What a head that looks at few cells needs: cells that know only of themselves, which to choose, and the rest."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from argus_core.detection.assign import BACKGROUND
from argus_core.detection.geometry import Points, centres

POOLED = 10
"""The context is this many tokens high and wide."""


class ConvLN(nn.Sequential):
    """Convolution, LayerNorm over the channels of each cell, GELU: no cell hears of another but through the kernel."""

    def __init__(self, channels: int, width: int, kernel: int) -> None:
        super().__init__(nn.Conv2d(channels, width, kernel, padding=kernel // 2), nn.LayerNorm(width), nn.GELU())

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, h, w) to (B, width, h, w)."""
        conv, norm, act = self
        return act(norm(conv(x).permute(0, 2, 3, 1))).permute(0, 3, 1, 2)


def near_middles(points: Points, boxes: Tensor) -> Tensor:
    """(N,) the box whose middle is nearest, if it is less than 1.5 strides away along both axes; or ``BACKGROUND``."""
    away = (points.xy[:, None] - centres(boxes)).abs().amax(dim=2)  # (N, G)
    nearest, index = away.min(dim=1)
    return torch.where(nearest < 1.5 * points.stride, index, BACKGROUND)


def pooled(x: Tensor, inside: Tensor) -> tuple[Tensor, Tensor]:
    """(B, P, C) means over 10 x 10 regions of the cells with image, and (B, P) whether a region has any."""
    share = F.adaptive_avg_pool2d(inside.float(), POOLED)
    means = F.adaptive_avg_pool2d(x * inside, POOLED) / share.clamp(min=1e-6)
    return means.flatten(2).transpose(1, 2), share.flatten(1) > 0
