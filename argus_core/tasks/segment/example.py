"""Learnable tokens for segmentation: quarters of an image, each of one class."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from argus_core.tasks.example import blend_vectors, draw_extents
from argus_core.tokens import FeatureInfo, cell_mask


def draw_labels(
    classes: int, ignore: int, canvas: tuple[int, int], images: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Labels (B, H, W) with a few unlabelled pixels and padding, and the extents (B, 2) of the images."""
    extent = draw_extents(canvas, images)
    quarters = torch.randint(classes, (images, 1, 2, 2), generator=generator).float()
    labels = F.interpolate(quarters, canvas)[:, 0].long()
    labels[torch.rand(labels.shape, generator=generator) < 0.05] = ignore
    return labels.masked_fill_(~cell_mask(extent, 1, canvas)[:, 0], ignore), extent


def paint(labels: Tensor, classes: int, info: FeatureInfo, layer: int, generator: torch.Generator) -> Tensor:
    """(B, C, h, w): each class's vector times the share of a cell that it covers, plus noise."""
    canvas, stride = (labels.shape[1], labels.shape[2]), info.strides[layer]
    vectors = 3 * torch.randn(classes, info.channels[layer], generator=generator)
    masks = (labels[:, None] == torch.arange(classes)[:, None, None]).float()  # (B, K, H, W)
    overhang = [n * stride - size for n, size in zip(info.grid(canvas, layer), canvas, strict=True)]
    shares = F.avg_pool2d(F.pad(masks, (0, overhang[1], 0, overhang[0])), stride)
    return blend_vectors(shares, vectors, generator)
