"""Cells that tell each other what they are, before a light detector."""

from __future__ import annotations

import torch
from einops import rearrange
from torch import nn
from torch.utils.checkpoint import checkpoint

from argus_core.detection.dense import DenseOutput
from argus_core.detection.light import LightHead
from argus_core.detection.mutual import MutualBlock
from argus_core.tasks.detect import Detect
from argus_core.tokens import FeatureInfo, Features, cell_mask


class MutualAttention(LightHead):
    """The light head on cells of the whole image that attend to each other where both want it (relations, Hu 2018).

    Memory grows with the square of the cells: 2304 cells (768 pixels) make 127 MB of scores per image and block,
    which training computes twice instead of keeping them.
    """

    def __init__(self, info: FeatureInfo, task: Detect, *, width: int = 192, blocks: int = 2, heads: int = 6) -> None:
        super().__init__(info, task, width=width)
        self.blocks = nn.ModuleList(MutualBlock(width, heads) for _ in range(blocks))

    def forward(self, features: Features) -> DenseOutput:
        """Logits, distances and centre-ness at five levels, at ``strides`` pixels."""
        x = self.stem(self.taps(features))
        grid = (x.shape[2], x.shape[3])
        seen = cell_mask(features.extent, self.strides[1], grid).flatten(1)
        cells = rearrange(x, "b c h w -> b (h w) c")
        for block in self.blocks:
            cells = (
                checkpoint(block, cells, grid, seen, use_reentrant=False, preserve_rng_state=False)
                if torch.is_grad_enabled()
                else block(cells, grid, seen)
            )
        x = rearrange(cells, "b (h w) c -> b c h w", h=grid[0])
        return DenseOutput(self.towers(self.pyramid(x)), self.strides, features.extent)
