"""Learnable tokens for depth: a rolling surface, whose depth the vector of each cell encodes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from argus_core.tasks.example import blend_vectors
from argus_core.tokens import FeatureInfo

CODES = 8
"""Vectors at depths spaced evenly on a logarithmic scale, between which a cell's vector blends."""


def draw_depth(low: float, high: float, canvas: tuple[int, int], images: int, generator: torch.Generator) -> Tensor:
    """(B, H, W) metres between 20 ``low`` or ``high`` / 20, whichever is farther, and 0.8 ``high``."""
    near, far = torch.tensor([max(20 * low, high / 20), 0.8 * high]).log()
    knots = torch.rand(images, 1, 3, 4, generator=generator)
    share = F.interpolate(knots, canvas, mode="bilinear", align_corners=False)[:, 0]
    return (near + share * (far - near)).exp()


def paint(depth: Tensor, info: FeatureInfo, layer: int, generator: torch.Generator) -> Tensor:
    """(B, C, h, w): the blend of the two codes nearest to each cell's depth, plus noise."""
    cells = F.avg_pool2d(depth[:, None], info.strides[layer], ceil_mode=True)[:, 0].log()  # (B, h, w)
    near, far = depth.min().log(), depth.max().log()
    place = (cells - near) / (far - near).clamp(min=1e-6) * (CODES - 1)
    blend = (1 - (place[:, None] - torch.arange(CODES)[:, None, None]).abs()).clamp(min=0)  # (B, codes, h, w)
    return blend_vectors(blend, 3 * torch.randn(CODES, info.channels[layer], generator=generator), generator)
