"""A pyramid of poolings: context from cascaded maxima, coarse levels from a learned mix of maximum and mean."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from argus_core.detection import LEVELS, ConvGN, LightHead
from argus_core.nn import upsample2
from argus_core.tasks.detect import Detect
from argus_core.tokens import FeatureInfo


def cascade(x: Tensor) -> list[Tensor]:
    """The map and its maxima over 5x5, 9x9 and 13x13 cells; windows at the border are smaller."""
    maps = [x]
    for _ in range(3):
        maps.append(F.max_pool2d(maps[-1], 5, stride=1, padding=2))
    return maps


class MixedPool(nn.Module):
    """2x2 pooling to ``a * max + (1 - a) * mean`` with a learned ``a = sigmoid(alpha)`` per channel (Lee 2016)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, h, w) to half the size, rounded up; windows over the border are smaller."""
        mean, maximum = F.avg_pool2d(x, 2, ceil_mode=True), F.max_pool2d(x, 2, ceil_mode=True)
        return mean + self.alpha.sigmoid()[:, None, None] * (maximum - mean)


class PooledContext(nn.Module):
    """A map and its maxima over 5x5, 9x9 and 13x13 cells, mixed by one convolution.

    Spatial pyramid pooling (He 2014; Zhao 2017) in the cascaded form of YOLOv5.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mix = ConvGN(4 * width, width, 1, act=True)

    def forward(self, x: Tensor) -> Tensor:
        """Keeps (B, width, h, w)."""
        return self.mix(torch.cat(cascade(x), dim=1))


class CascadePyramid(nn.Module):
    """Five levels of one contextual map without a strided or transposed convolution.

    The finest is bilinear; the coarse ones cost ``width`` parameters each.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.context = PooledContext(width)
        self.pools = nn.ModuleList(MixedPool(width) for _ in range(LEVELS - 2))

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, width, h, w) to maps of 2h x 2w, h x w, and three of half the size each, rounded up."""
        x = self.context(x)
        levels = [upsample2(x, (2 * x.shape[2], 2 * x.shape[3])), x]
        for pool in self.pools:
            levels.append(pool(levels[-1]))
        return levels


class CascadePool(LightHead):
    """The light head with a pyramid of poolings: large objects are found where their features are strongest."""

    def __init__(self, info: FeatureInfo, task: Detect, *, width: int = 192) -> None:
        super().__init__(info, task, width=width, pyramid=CascadePyramid(width))
