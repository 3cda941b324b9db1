"""Shapes that boxes are told apart by and measured against."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

__all__ = ["ASPECTS", "nearest_shape", "shape_anchors"]

ASPECTS = (0.4, 1.0, 2.5)
"""Width over height: upright, square, lying."""


def shape_anchors(sizes: Tensor, scales: int, aspects: Sequence[float] = ASPECTS) -> Tensor:
    """(scales * aspects, 2) widths and heights for boxes of ``sizes`` (N, 2): every scale in every aspect.

    Scales are the medians of sqrt(w h) in as many equally filled bins.
    """
    # The median of bin k of n is the quantile (2 k + 1) / 2 n of all.
    medians = np.quantile(sizes.double().prod(dim=1).sqrt().cpu().numpy(), (np.arange(scales) + 0.5) / scales)
    root = torch.tensor(aspects, dtype=torch.float64).sqrt()
    return (torch.from_numpy(medians)[:, None, None] * torch.stack([root, 1 / root], dim=1)).flatten(0, 1)


def nearest_shape(sizes: Tensor, anchors: Tensor) -> Tensor:
    """(N,) index of the anchor (A, 2) that overlaps each of ``sizes`` (N, 2) most when both are centred."""
    common = torch.minimum(sizes[:, None], anchors).prod(dim=2)
    return (common / (sizes.prod(dim=1)[:, None] + anchors.prod(dim=1) - common)).argmax(dim=1)
