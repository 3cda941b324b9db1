"""Depth as a distribution over bins (AdaBins, Bhat 2021), and scale-invariant losses on its logarithm (Eigen 2014)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from argus_core.nn.numerics import total_over_processes
from argus_core.nn.planes import enlarge
from argus_core.tokens import repeat_border

FLOOR = 0.1
"""Added to every rectified logit, so that the shares are defined and no bin is ever excluded (DINOv2, Oquab 2023)."""
SHARP = 1e3
"""Logits of a start from shares; far above the floors of all bins together."""
TINY = 1e-12
"""Added under square roots, whose slope at zero is infinite."""


@dataclass(frozen=True)
class BinLogits:
    """Logits (B, N, h, w) of N depth bins, in cells of ``stride`` canvas pixels.

    ``extent`` (B, 2) is where the images end, in canvas pixels.
    """

    logits: Tensor
    stride: int
    extent: Tensor

    def metres(self, low: float, high: float) -> Tensor:
        """(B, 2, h, w): mean and standard deviation of each cell's bins; padding repeats the image's border."""
        depth = decode_bins(self.logits, low, high)
        both = torch.stack([depth, bin_spread(self.logits, depth, low, high)], dim=1)
        return repeat_border(both, self.stride, self.extent)


@dataclass(frozen=True)
class LogDepth:
    """Natural logarithms of metres and their standard deviation (B, h, w), in cells of ``stride`` canvas pixels.

    ``extent`` (B, 2) is where the images end, in canvas pixels.
    """

    logs: Tensor
    spread: Tensor
    stride: int
    extent: Tensor

    def metres(self, low: float, high: float) -> Tensor:
        """(B, 2, h, w): the median depth, from ``low`` to ``high``, and its deviation; padding repeats the border."""
        depth = self.logs.float().clamp(math.log(low), math.log(high)).exp()
        both = torch.stack([depth, depth * self.spread.float()], dim=1)
        return repeat_border(both, self.stride, self.extent)


def decode_bins(logits: Tensor, low: float, high: float) -> Tensor:
    """(B, N, h, w) logits to (B, h, w) metres: the mean of N centres evenly spaced from ``low`` to ``high``.

    A bin's share is its rectified logit plus 0.1, over the sum of these.
    """
    weights, centres = _weigh(logits, low, high)
    return (weights * centres).sum(1) / weights.sum(1)


def bin_spread(logits: Tensor, depth: Tensor, low: float, high: float) -> Tensor:
    """(B, h, w) metres: the standard deviation of the bins' distribution about its mean ``depth`` (B, h, w)."""
    weights, centres = _weigh(logits, low, high)
    return ((weights * (centres - depth[:, None]).square()).sum(1) / weights.sum(1)).sqrt()


def bin_shares(depth: Tensor, low: float, high: float, bins: int) -> Tensor:
    """(..., bins) shares of the two bins whose centres are nearest: their mean is the depth, or its nearest end."""
    place = (depth.clamp(low, high) - low) / (high - low) * (bins - 1)
    lower = place.floor().clamp(max=bins - 2)
    upper = (place - lower)[..., None]
    index = lower.long()[..., None]
    return (
        torch.zeros(*depth.shape, bins, device=depth.device)
        .scatter_(-1, index, 1 - upper)
        .scatter_(-1, index + 1, upper)
    )


def share_logits(weights: Tensor) -> Tensor:
    """Linear weights (C + 1, bins) of logits, from those of shares, intercepts last: decoded, negative shares are 0."""
    logits = SHARP * weights
    logits[-1] -= FLOOR
    return logits


def canvas_depth(output: BinLogits, low: float, high: float, size: tuple[int, int]) -> Tensor:
    """(B, H, W) metres at every pixel of a canvas of ``size``: decoded per cell, then enlarged bilinearly."""
    depth = decode_bins(output.logits, low, high)[:, None]
    return enlarge(repeat_border(depth, output.stride, output.extent), output.stride, size)[:, 0]


def _weigh(logits: Tensor, low: float, high: float) -> tuple[Tensor, Tensor]:
    """Unnormalised shares (B, N, h, w) and bin centres (N, 1, 1), float32."""
    centres = torch.linspace(low, high, logits.shape[1], device=logits.device)
    return F.relu(logits.float()) + FLOOR, centres[:, None, None]


class SILog(nn.Module):
    """sqrt(mean(g^2) - ``focus`` * mean(g)^2) with g = log(predicted) - log(true).

    ``focus`` 0 gives the root mean square, 1 ignores any common factor. The default 0.85 and the root are those of
    BTS (Lee 2019) and AdaBins (Bhat 2021), without their constant factor of 10.
    """

    def __init__(self, focus: float = 0.85) -> None:
        super().__init__()
        self.focus = focus

    def forward(self, depth: Tensor, truth: Tensor) -> Tensor:
        """Scalar; (B, H, W) metres each, ``depth`` positive, 0 in ``truth`` is unknown; 1e-6 if everything is."""
        squares, mean, count = _moments(depth, truth, 0.0)
        return (squares / count.clamp(min=1) + (1 - self.focus) * mean.square() + TINY).sqrt()


class SigLoss(nn.Module):
    """sqrt(var(g) + 0.15 mean(g)^2) with g = log(predicted + 0.001) - log(true + 0.001), var unbiased.

    The first ``warmup`` calls in training omit the variance, to learn the scale first (BinsFormer, Li 2022, as in the
    linear probes of DINOv2). The buffer ``calls`` counts them.
    """

    calls: Tensor

    def __init__(self, warmup: int = 100) -> None:
        super().__init__()
        self.warmup = warmup
        self.register_buffer("calls", torch.zeros((), dtype=torch.long))

    def forward(self, depth: Tensor, truth: Tensor) -> Tensor:
        """Scalar; (B, H, W) metres each, 0 in ``truth`` is unknown; 1e-6 if everything is."""
        squares, mean, count = _moments(depth, truth, 1e-3)
        variance = squares / (count - 1).clamp(min=1)
        loss = ((self.calls >= self.warmup) * variance + 0.15 * mean.square() + TINY).sqrt()
        if self.training:
            self.calls += 1
        return loss


def _moments(depth: Tensor, truth: Tensor, shift: float) -> tuple[Tensor, Tensor, Tensor]:
    """Sum of squares about the mean, mean and number of the log errors, over the batches of all processes."""
    known = truth > 0
    error = torch.where(known, (depth.float() + shift).log() - torch.where(known, truth + shift, 1).log(), 0)
    count = total_over_processes(known.sum().float())
    mean = total_over_processes(error.sum()) / count.clamp(min=1)
    squares = torch.where(known, error - mean, 0).square().sum()
    return total_over_processes(squares), mean, count
