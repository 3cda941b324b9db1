"""A light detector on cells that attend to each other where both agree."""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from argus_core.detection import DenseOutput, LightHead
from argus_core.detection.attention import feed_forward
from argus_core.errors import ArgusError
from argus_core.tasks.detect import Detect
from argus_core.tokens import FeatureInfo, Features, cell_mask

FAR = 16.0
"""Unit of the distances, in cells, that the geometry network reads, so that far cells do not dominate near ones."""


def log_mutual(scores: Tensor) -> Tensor:
    """(..., N, N) log of the softmax over rows times the softmax over columns of symmetric ``scores``."""
    total = scores.logsumexp(dim=-1, keepdim=True)  # of a row, and by symmetry of a column
    return 2 * scores - total - total.transpose(-2, -1)


class Mutual(nn.Module):
    """Multi-head attention weighted by softmax over rows times softmax over columns, with rows that sum to 1.

    The dual softmax of feature matching (Rocco 2018; LoFTR, Sun 2021) among the cells of one image: i attends most to
    the j that attend to i. Queries are also keys, and the bias depends on distance alone, so scores are symmetric.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise ArgusError(f"a width of {width} does not divide into {heads} heads; choose a multiple of {heads}")
        self.heads = heads
        self.query, self.value, self.out = (nn.Linear(width, width) for _ in range(3))
        self.geometry = feed_forward(4, 16, heads)  # relation networks, Hu 2018
        self.gate = nn.Parameter(torch.ones(heads))

    def forward(self, x: Tensor, grid: tuple[int, int], visible: Tensor) -> Tensor:
        """Messages (B, N, C) to the cells ``x`` (B, N, C) of a ``grid``, of which the ``visible`` (B, N) take part."""
        value = rearrange(self.value(x), "b n (h c) -> b h n c", h=self.heads)
        weights = log_mutual(self.scores(x, self.bias(grid, x.device), visible)).softmax(dim=-1)
        messages = self.gate[:, None, None] * (weights.to(value.dtype) @ value)
        return self.out(rearrange(messages, "b h n c -> b n (h c)").to(value.dtype))

    def scores(self, x: Tensor, bias: Tensor, visible: Tensor) -> Tensor:
        """(B, heads, N, N) symmetric float32 logits; a cell that is not ``visible`` attends to itself alone."""
        query = rearrange(self.query(x), "b n (h c) -> b h n c", h=self.heads)
        scores = (query @ query.transpose(2, 3)).float() / query.shape[-1] ** 0.5 + bias
        pairs = visible[:, :, None] & visible[:, None, :] | torch.eye(x.shape[1], dtype=torch.bool, device=x.device)
        return scores.masked_fill(~pairs[:, None], -torch.inf)

    def bias(self, grid: tuple[int, int], device: torch.device) -> Tensor:
        """(heads, N, N) float32 from the distances of cells in rows and columns and their logarithms."""
        rows, cols = (torch.arange(size, device=device) for size in grid)
        distance = torch.stack(torch.meshgrid(rows, cols, indexing="ij"), dim=-1).float()  # (h, w, 2)
        table = self.geometry(torch.cat([distance / FAR, distance.log1p()], dim=-1)).float()  # (h, w, heads)
        dy, dx = ((axis[:, None] - axis).abs() for axis in (rows, cols))
        return rearrange(table[dy[:, None, :, None], dx[None, :, None, :]], "i j k l h -> h (i j) (k l)")


class MutualBlock(nn.Module):
    """Mutual attention and a feed-forward network on normed cells, each added; starts as the identity."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.attention = Mutual(width, heads)
        self.mlp = feed_forward(width, 2 * width)
        for last in (self.attention.out, self.mlp[-1]):
            nn.init.zeros_(last.weight)  # type: ignore[arg-type]
            nn.init.zeros_(last.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, grid: tuple[int, int], visible: Tensor) -> Tensor:
        """Keeps (B, N, C)."""
        x = x + self.attention(self.norms[0](x), grid, visible)
        return x + self.mlp(self.norms[1](x))


class MutualAttention(LightHead):
    """The light head on cells of the whole image with mutual attention (relations, Hu 2018).

    Memory grows with the square of the cells: 2304 cells (768 pixels) make 127 MB of scores per image and block,
    which training computes twice instead of storing them.
    """

    def __init__(self, info: FeatureInfo, task: Detect, *, width: int = 192, blocks: int = 2, heads: int = 6) -> None:
        super().__init__(info, task, width=width)
        self.blocks = nn.ModuleList(MutualBlock(width, heads) for _ in range(blocks))

    def forward(self, features: Features) -> DenseOutput:
        """Logits, distances and centre-ness at five levels, at ``strides`` pixels."""
        x = self.stem(self.taps(features))
        grid = (x.shape[2], x.shape[3])
        visible = cell_mask(features.extent, self.strides[1], grid).flatten(1)
        cells = rearrange(x, "b c h w -> b (h w) c")
        for block in self.blocks:
            if torch.is_grad_enabled():
                cells = checkpoint(block, cells, grid, visible, use_reentrant=False, preserve_rng_state=False)
            else:
                cells = block(cells, grid, visible)
        x = rearrange(cells, "b (h w) c -> b c h w", h=grid[0])
        return DenseOutput(self.towers(self.pyramid(x)), self.strides, features.extent)
