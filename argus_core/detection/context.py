"""What surrounds a cell, as means over windows of the grid."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

__all__ = ["window_means"]


def window_means(x: Tensor, mask: Tensor, window: int) -> Tensor:
    """(B, C, h, w) means of ``x`` over ``window`` x ``window`` cells around each; 0 takes the whole image.

    Only cells of ``mask`` (B, 1, h, w) count, and ``x`` must be zero elsewhere. An even window reaches one cell
    farther right and down.
    """
    counts = mask.to(x)
    if window == 0:
        return (x.sum(dim=(2, 3), keepdim=True) / counts.sum(dim=(2, 3), keepdim=True).clamp(min=1)).expand_as(x)
    around = ((window - 1) // 2, window // 2) * 2
    total, share = (F.avg_pool2d(F.pad(values, around), window, stride=1) for values in (x, counts))
    return total / share.clamp(min=1 / window**2)
