"""Depth as a distribution over bins: logits of linear bins to metres and their uncertainty (AdaBins, Bhat 2021)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from argus_core.border import repeat_border
from argus_core.dense import enlarge

__all__ = ["BinLogits", "bin_spread", "canvas_depth", "decode_bins"]

FLOOR = 0.1
"""Added to every rectified logit, so that the shares are defined and no bin is ever ruled out (DINOv2, Oquab 2023)."""


@dataclass(frozen=True)
class BinLogits:
    """Logits (B, N, h, w) of N depth bins, in cells of ``stride`` canvas pixels.

    ``extent`` (B, 2) is where the images end, in canvas pixels.
    """

    logits: Tensor
    stride: int
    extent: Tensor


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


def canvas_depth(output: BinLogits, low: float, high: float, size: tuple[int, int]) -> Tensor:
    """(B, H, W) metres at every pixel of a canvas of ``size``: decoded per cell, then enlarged bilinearly."""
    depth = decode_bins(output.logits, low, high)[:, None]
    return enlarge(repeat_border(depth, output.stride, output.extent), output.stride, size)[:, 0]


def _weigh(logits: Tensor, low: float, high: float) -> tuple[Tensor, Tensor]:
    """Unnormalised shares (B, N, h, w) and bin centres (N, 1, 1), float32."""
    centres = torch.linspace(low, high, logits.shape[1], device=logits.device)
    return F.relu(logits.float()) + FLOOR, centres[:, None, None]
