"""Learnable tokens for depth: a rolling surface whose depth every cell's vector tells."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from argus_core.tokens import FeatureInfo, cell_mask

CODES = 8
"""Vectors at depths spaced evenly on a logarithmic scale, between which a cell's vector blends."""


def draw_extents(canvas: tuple[int, int], images: int) -> Tensor:
    """(B, 2): whole canvases, and in turn ones padded to the right and below."""
    extent = torch.tensor(canvas).repeat(images, 1)
    extent[1::4, 1] = extent[1::4, 1] * 3 // 4
    extent[3::4, 0] = extent[3::4, 0] * 3 // 4
    return extent


def draw_depth(low: float, high: float, canvas: tuple[int, int], images: int, generator: torch.Generator) -> Tensor:
    """(B, H, W) metres between 20 ``low`` or ``high`` / 20, whichever is farther, and 0.8 ``high``."""
    near, far = torch.tensor([max(20 * low, high / 20), 0.8 * high]).log()
    knots = torch.rand(images, 1, 3, 4, generator=generator)
    share = F.interpolate(knots, canvas, mode="bilinear", align_corners=False)[:, 0]
    return (near + share * (far - near)).exp()


def paint(depth: Tensor, extent: Tensor, info: FeatureInfo, layer: int, generator: torch.Generator) -> Tensor:
    """(B, C, h, w): the blend of the two codes nearest to each cell's depth, plus noise; zero in padding."""
    canvas, stride = (depth.shape[1], depth.shape[2]), info.strides[layer]
    grid = info.grid(canvas, layer)
    cells = F.avg_pool2d(depth[:, None], stride, ceil_mode=True)[:, 0].log()  # (B, h, w)
    near, far = depth.min().log(), depth.max().log()
    place = (cells - near) / (far - near).clamp(min=1e-6) * (CODES - 1)
    blend = (1 - (place[:, None] - torch.arange(CODES)[:, None, None]).abs()).clamp(min=0)  # (B, codes, h, w)
    codes = 3 * torch.randn(CODES, info.channels[layer], generator=generator)
    noise = 0.3 * torch.randn(len(depth), info.channels[layer], *grid, generator=generator)
    return (torch.einsum("bkhw,kc->bchw", blend, codes) + noise) * cell_mask(extent, stride, grid)
