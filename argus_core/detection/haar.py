"""The orthonormal two-dimensional Haar transform of maps: 2x2 cells as one mean and three differences."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

BANDS = 4


def haar(x: Tensor) -> Tensor:
    """(B, C, h, w) to subbands (B, 4, C, ceil(h / 2), ceil(w / 2)): LL, and differences of rows, columns, diagonals.

    LL is twice the mean of 2x2 cells. An odd border is repeated. Energy and inner products are kept on even grids
    (Mallat 1989); the order is PyWavelets' cA, cH, cV, cD.
    """
    padded = F.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2), mode="replicate")
    return _mix(rearrange(padded, "b c (h y) (w x) -> b (y x) c h w", y=2, x=2))


def inverse_haar(bands: Tensor, size: tuple[int, int] | None = None) -> Tensor:
    """The (B, C, height, width) map of subbands (B, 4, C, h, w); ``size`` cuts what an odd grid had repeated."""
    whole = rearrange(_mix(bands), "b (y x) c h w -> b c (h y) (w x)", y=2, x=2)
    return whole if size is None else whole[..., : size[0], : size[1]]


def _mix(parts: Tensor) -> Tensor:
    """An orthonormal, symmetric matrix on dimension 1, hence its own inverse."""
    a, b, c, d = parts.unbind(1)
    return torch.stack([a + b + c + d, a + b - c - d, a - b + c - d, a - b - c + d], dim=1) / 2
