"""Box sizes as octaves: which one, and how far into it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Octaves:
    """``count`` half-open ranges [first * 2**j, first * 2**(j + 1)) of sizes in pixels; the outer two are open.

    A size is the root of a box's area; an octave's centre is the geometric mean of its ends.
    """

    first: float
    count: int = 8

    def index(self, size: Tensor) -> Tensor:
        """The octave of each positive size (...), long."""
        inner = self.first * 2.0 ** torch.arange(1, self.count, device=size.device)  # powers of two are exact
        return torch.bucketize(size, inner.to(size.dtype), right=True)

    def share(self, size: Tensor) -> Tensor:
        """(..., count) shares of the two octaves whose centres enclose each size: the goal of ``size`` (DFL, Li 2020).

        Their mean centre is the size itself, on the log scale; beyond the outer centres the outer octave has all.
        """
        place = ((size / self.first).log2() - 0.5).clamp(0, self.count - 1)
        return (1 - (place[..., None] - torch.arange(self.count, device=size.device)).abs()).clamp(min=0)

    def size(self, share: Tensor, residual: Tensor) -> Tensor:
        """(...) pixels: the mean centre under ``share`` (..., count), moved by ``residual`` in -0.5..0.5 octaves."""
        centres = torch.arange(self.count, device=share.device) + 0.5 + math.log2(self.first)
        return torch.exp2((share * centres).sum(dim=-1) + residual)
