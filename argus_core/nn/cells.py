"""What the pixels of each cell of a grid say together."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def cell_counts(labels: Tensor, classes: int, stride: int) -> Tensor:
    """(B, h, w, K) pixels of each class in every cell of ``stride`` px, for labels (B, H, W), long.

    Labels beyond 0..K-1 count nowhere.
    """
    rows, columns = (-(-size // stride) for size in labels.shape[1:])
    labels = torch.where((labels < 0) | (labels >= classes), classes, labels)
    overhang = (0, columns * stride - labels.shape[2], 0, rows * stride - labels.shape[1])
    pixels = F.pad(labels, overhang, value=classes).unflatten(2, (columns, stride)).unflatten(1, (rows, stride))
    pixels = pixels.transpose(2, 3).flatten(3)  # (B, h, w, stride * stride)
    counts = pixels.new_zeros(*pixels.shape[:3], classes + 1)
    return counts.scatter_add_(3, pixels, torch.ones_like(pixels))[..., :classes]


def cell_means(values: Tensor, known: Tensor, stride: int) -> tuple[Tensor, Tensor]:
    """(B, h, w) means over the known pixels of every cell of ``stride`` px, 0 where none is, and their shares 0..1.

    ``values`` (B, H, W) may be anything where ``known`` (B, H, W), bool, is not set.
    """
    overhang = (0, -values.shape[2] % stride, 0, -values.shape[1] % stride)
    both = torch.stack([torch.where(known, values, 0), known.to(values.dtype)], dim=1)
    total, share = F.avg_pool2d(F.pad(both, overhang), stride).unbind(dim=1)
    return total / share.clamp(min=0.5 / stride**2), share
