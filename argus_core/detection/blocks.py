"""The parts of dense detectors: convolutions with norms, towers, and the layers that predict."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from argus_core.detection.dense import Level
from argus_core.nn.winograd import Conv3x3

PRIOR = 0.01
"""Initial score of every class, so that the many background locations do not dominate the first steps (Lin 2017)."""


def group_norm(channels: int) -> nn.GroupNorm:
    """GroupNorm with 32 groups, or else the most that divide ``channels`` into groups of at least four."""
    # On a 1 x 1 grid a group of one channel has no variance, and two can only become their signs.
    most = max(1, min(32, channels // 4))
    return nn.GroupNorm(next(n for n in range(most, 0, -1) if channels % n == 0), channels)


class ConvGN(nn.Sequential):
    """Convolution with bias, GroupNorm, and GELU if ``act``; stride 2 gives ceil(h / 2) x ceil(w / 2)."""

    def __init__(self, channels: int, width: int, kernel: int = 3, *, stride: int = 1, act: bool = False) -> None:
        fast = kernel == 3 and stride == 1
        conv = Conv3x3(channels, width) if fast else nn.Conv2d(channels, width, kernel, stride, kernel // 2)
        nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
        nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
        super().__init__(conv, group_norm(width), *([nn.GELU()] if act else []))


class UpGN(nn.Sequential):
    """2 x 2 transposed convolution, GroupNorm, GELU: (B, C, h, w) to (B, width, 2h, 2w)."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__(nn.ConvTranspose2d(channels, width, 2, 2), group_norm(width), nn.GELU())


class DepthwiseResidual(nn.Module):
    """``x + pointwise(GELU(GN(depthwise 3x3(x))))``; starts as the identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        depthwise = nn.Conv2d(width, width, 3, padding=1, groups=width)
        pointwise = nn.Conv2d(width, width, 1)
        nn.init.zeros_(pointwise.weight)
        nn.init.zeros_(pointwise.bias)  # type: ignore[arg-type]
        self.branch = nn.Sequential(depthwise, group_norm(width), nn.GELU(), pointwise)

    def forward(self, x: Tensor) -> Tensor:
        """Keeps (B, width, h, w)."""
        return x + self.branch(x)


class Tower(nn.Sequential):
    """``convs`` ConvGN with GELU, then ``residuals`` depthwise residuals, all of one width."""

    def __init__(self, width: int, convs: int, residuals: int = 0) -> None:
        dense = [ConvGN(width, width, act=True) for _ in range(convs)]
        super().__init__(*dense, *(DepthwiseResidual(width) for _ in range(residuals)))


def prediction(width: int, outputs: int, kernel: int = 1, *, prior: float = 0.5) -> nn.Conv2d:
    """A last convolution that starts near zero; its sigmoid starts at ``prior``."""
    conv = Conv3x3(width, outputs) if kernel == 3 else nn.Conv2d(width, outputs, kernel, padding=kernel // 2)
    nn.init.normal_(conv.weight, std=0.01)
    nn.init.constant_(conv.bias, logit(prior))  # type: ignore[arg-type]
    return conv


def logit(probability: float) -> float:
    """The inverse of the sigmoid."""
    return math.log(probability / (1 - probability))


class DenseTowers(nn.Module):
    """Two towers and three predictions, with the same weights for all levels except a distance scale (FCOS).

    ``classifier`` maps (B, width, h, w) to (B, K, h, w) logits; box distances and centre-ness share a tower.
    """

    def __init__(
        self,
        width: int,
        classifier: nn.Module,
        strides: Sequence[int],
        *,
        convs: int,
        residuals: int = 0,
        kernel: int = 1,
    ) -> None:
        super().__init__()
        self.cls_tower = Tower(width, convs, residuals)
        self.box_tower = Tower(width, convs, residuals)
        self.classifier = classifier
        self.reg = prediction(width, 4, kernel)
        self.ctr = prediction(width, 1, kernel)
        self.scales = nn.Parameter(torch.ones(len(strides)))
        self.strides = tuple(strides)

    def forward(self, levels: Sequence[Tensor]) -> tuple[Level, ...]:
        """One (B, width, h_i, w_i) map per stride to logits and distances in canvas pixels, float32."""
        pairs = zip(levels, self.strides, self.scales, strict=True)
        return tuple(self._level(x, stride, scale) for x, stride, scale in pairs)

    def _level(self, x: Tensor, stride: int, scale: Tensor) -> Level:
        box = self.box_tower(x)
        # bfloat16 would give distances of three digits; the clamp keeps a bad step from overflowing the loss.
        ltrb = stride * (scale * self.reg(box).float()).clamp(-8, 8).exp()
        return Level(self.classifier(self.cls_tower(x)).float(), ltrb, self.ctr(box).float())
