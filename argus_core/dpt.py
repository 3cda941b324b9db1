"""The parts of a dense prediction transformer (DPT, Ranftl 2021) that never look at padding.

Every convolution sees zeros in padding, and every resize the image's border repeated: so an image is answered
alike on any canvas that holds it at the same scale.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from argus_core.border import repeat_border
from argus_core.tokens import cell_mask

__all__ = ["Fusion", "Reassemble", "Residual", "resize"]


class Residual(nn.Module):
    """``x + conv(ReLU(conv(ReLU(x))))`` with 3x3 convolutions that keep ``width`` channels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, width, h, w); ``mask`` (B, 1, h, w) is 0 in padding."""
        inner = self.first(F.relu(x) * mask)
        return x + self.second(F.relu(inner) * mask)


class Fusion(nn.Module):
    """Adds a tap to the path from the coarser levels, refines the sum and mixes its channels.

    The coarsest tap starts the path: no path comes from below it, and both residual units act on the tap.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.skip = Residual(width)
        self.refine = Residual(width)
        self.mix = nn.Conv2d(width, width, 1)

    def forward(self, path: Tensor | None, tap: Tensor, mask: Tensor) -> Tensor:
        """(B, width, h, w) from a path and a tap of that shape."""
        tap = self.skip(tap, mask)
        # Mixed before it is enlarged, not after: the two commute, and this is a quarter of the work.
        return self.mix(self.refine(tap if path is None else path + tap, mask))


class Reassemble(nn.Module):
    """Turns a tap of ``stride`` into a map of stride ``to`` and ``width`` channels.

    A LayerNorm of its own, a linear map, a bilinear resize and a 3x3 convolution.
    """

    def __init__(self, channels: int, width: int, stride: int, to: int) -> None:
        super().__init__()
        self.strides = (stride, to)
        self.norm = nn.LayerNorm(channels)
        self.project = nn.Linear(channels, width)
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, tap: Tensor, extent: Tensor) -> Tensor:
        """(B, channels, h, w) to (B, width, h', w')."""
        x = self.project(self.norm(tap.permute(0, 2, 3, 1))).permute(0, 3, 1, 2)
        x = resize(x, *self.strides, extent)
        return self.conv(x * cell_mask(extent, self.strides[1], (x.shape[2], x.shape[3])))


def resize(x: Tensor, stride: int, to: int, extent: Tensor) -> Tensor:
    """A map (B, C, h, w) of ``stride`` bilinearly at the finer stride ``to``, or the coarser of twice ``stride``.

    Finer grids hold ``stride / to`` cells for each one, the coarser one half of them, rounded up.
    """
    if stride == to:
        return x
    x = repeat_border(x, stride, extent)
    if to > stride:
        return F.avg_pool2d(F.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2), mode="replicate"), 2)
    return F.interpolate(x, scale_factor=stride // to, mode="bilinear", align_corners=False)
