"""A pyramid of Haar subbands: coarse levels keep the details that a mean throws away."""

from __future__ import annotations

import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from argus_core.detection.blocks import ConvGN
from argus_core.detection.haar import BANDS, haar, inverse_haar
from argus_core.detection.levels import LEVELS
from argus_core.detection.light import LightHead, light_taps
from argus_core.tasks.detect import Detect
from argus_core.tokens import FeatureInfo


class HaarPyramid(nn.Module):
    """Coarse levels from the wavelet transform of the map, the fine one from the inverse transform (MWCNN, Liu 2018).

    Nothing is lost on the way down: the subbands of all levels together are the map in another basis.
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
        # Differences have signs: the activation belongs behind the synthesis.
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
