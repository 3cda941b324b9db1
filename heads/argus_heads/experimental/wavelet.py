"""A pyramid of Haar subbands: coarse levels keep the details that a mean discards."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from argus_core.detection import LEVELS, ConvGN, LightHead, light_taps
from argus_core.tasks.detect import Detect
from argus_core.tokens import FeatureInfo

BANDS = 4


def haar(x: Tensor) -> Tensor:
    """(B, C, h, w) to subbands (B, 4, C, ceil(h / 2), ceil(w / 2)): LL, and differences of rows, columns, diagonals.

    LL is twice the mean of 2x2 cells. On odd grids the border is repeated, on even ones energy and inner products
    are preserved (Mallat 1989). The order is PyWavelets' cA, cH, cV, cD.
    """
    padded = F.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2), mode="replicate")
    return _mix(rearrange(padded, "b c (h y) (w x) -> b (y x) c h w", y=2, x=2))


def inverse_haar(bands: Tensor, size: tuple[int, int] | None = None) -> Tensor:
    """The (B, C, height, width) map of subbands (B, 4, C, h, w); ``size`` crops the border that ``haar`` repeated."""
    whole = rearrange(_mix(bands), "b (y x) c h w -> b c (h y) (w x)", y=2, x=2)
    return whole if size is None else whole[..., : size[0], : size[1]]


def _mix(parts: Tensor) -> Tensor:
    """An orthonormal, symmetric matrix on dimension 1, hence its own inverse."""
    a, b, c, d = parts.unbind(1)
    return torch.stack([a + b + c + d, a + b - c - d, a - b + c - d, a - b - c + d], dim=1) / 2


class HaarPyramid(nn.Module):
    """Coarse levels from the wavelet transform of the map, the fine one from the inverse transform (MWCNN, Liu 2018).

    Nothing is lost on the way down: all subbands together are the map in another basis.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.stem = ConvGN(channels, width, 1, act=True)
        self.fine = ConvGN(channels, BANDS * width, 1)
        self.mixes = nn.ModuleList(ConvGN(BANDS * width, width, 1) for _ in range(LEVELS - 2))

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, C, h, w) to maps of 2h x 2w, h x w, and three of half the size each, rounded up."""
        bands = rearrange(self.fine(x), "b (k c) h w -> b k c h w", k=BANDS)
        smooth = self.stem(x)
        # Subbands are signed, so the activation comes after the synthesis.
        levels = [F.gelu(inverse_haar(bands)), smooth]
        for mix in self.mixes:
            bands = haar(smooth)
            levels.append(mix(rearrange(bands, "b k c h w -> b (k c) h w")))
            smooth = bands[:, 0]
        return levels


class Wavelet(LightHead):
    """The light head with fixed wavelets in place of means and a transposed convolution."""

    def __init__(self, info: FeatureInfo, task: Detect, *, width: int = 192) -> None:
        pyramid = HaarPyramid(light_taps(info).channels, width)
        super().__init__(info, task, width=width, stem=nn.Identity(), pyramid=pyramid)
