"""Learnable tokens for normals: cells are linear functions of the normals of a rolling surface."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from argus_core import FeatureInfo
from argus_core.tokens import cell_mask
from argus_normals.vectors import unit


def draw_normals(canvas: tuple[int, int], extent: Tensor, generator: torch.Generator) -> Tensor:
    """(B, 3, H, W): slopes that roll over the image, a tenth of the pixels unknown, 0 in padding."""
    slopes = 4 * torch.rand(len(extent), 2, 3, 4, generator=generator) - 2
    across, down = F.interpolate(slopes, canvas, mode="bilinear", align_corners=False).unbind(dim=1)
    normals = unit(torch.stack([across, down, -torch.ones_like(across)], dim=1), dim=1)
    known = torch.rand(normals[:, :1].shape, generator=generator) > 0.1
    return normals * known * cell_mask(extent, 1, canvas)


def paint(normals: Tensor, info: FeatureInfo, layer: int, generator: torch.Generator) -> Tensor:
    """(B, C, h, w): a random linear map of the mean normal of each cell, plus noise."""
    grid = info.grid((normals.shape[2], normals.shape[3]), layer)
    cells = F.adaptive_avg_pool2d(normals, grid)
    mixing = 3 * torch.randn(info.channels[layer], 3, generator=generator)
    noise = 0.3 * torch.randn(len(normals), info.channels[layer], *grid, generator=generator)
    return torch.einsum("cv,bvhw->bchw", mixing, cells) + noise
