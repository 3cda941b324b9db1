"""Learnable scenes for detection: up to three boxes, whose class vectors fill the cells that they cover."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from argus_core.tasks.detect.values import BoxTarget
from argus_core.tokens import FeatureInfo


def draw_scene(classes: int, extent: Tensor, generator: torch.Generator) -> BoxTarget:
    """One to three boxes, each in its own quarter of an image of ``extent`` (2: height, width)."""
    quarters = torch.randperm(4, generator=generator)[: int(torch.randint(1, 4, (), generator=generator))]
    half = extent.flip(0) / 2  # x, y
    corner = torch.stack([quarters % 2, quarters // 2], dim=1) * half
    side = (0.6 + 0.4 * torch.rand(len(quarters), 2, generator=generator)) * half
    start = corner + torch.rand(len(quarters), 2, generator=generator) * (half - side)
    labels = torch.randint(classes, (len(quarters),), generator=generator)
    return BoxTarget(torch.cat([start, start + side], dim=1), labels, torch.zeros(len(quarters), dtype=torch.bool))


def paint(
    targets: Sequence[BoxTarget],
    classes: int,
    info: FeatureInfo,
    layer: int,
    canvas: tuple[int, int],
    generator: torch.Generator,
) -> Tensor:
    """(B, C, h, w): each class's vector times the share of a cell that its boxes cover, plus noise."""
    grid, stride = info.grid(canvas, layer), info.strides[layer]
    vectors = 3 * torch.randn(classes, info.channels[layer], generator=generator)
    maps = 0.3 * torch.randn(len(targets), info.channels[layer], *grid, generator=generator)
    for image, target in zip(maps, targets, strict=True):
        rows, cols = (_covered(target.boxes[:, k::2], n, stride) for k, n in ((1, grid[0]), (0, grid[1])))
        image += torch.einsum("gc,gh,gw->chw", vectors[target.labels], rows, cols)
    return maps


def _covered(span: Tensor, cells: int, stride: int) -> Tensor:
    """(G, cells): the share of each cell of an axis that lies within spans (G, 2)."""
    start = torch.arange(cells) * stride
    overlap = torch.minimum(span[:, 1:], start + stride) - torch.maximum(span[:, :1], start)
    return overlap.clamp(min=0) / stride
