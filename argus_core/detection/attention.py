"""Attention between queries and tokens, and the sine code of places, for heads that predict a set."""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor, nn

from argus_core.errors import ArgusError


class Attention(nn.Module):
    """Multi-head attention that also returns its weights and takes a bias on the logits (Vaswani 2017)."""

    def __init__(self, width: int, heads: int = 8) -> None:
        super().__init__()
        if width % heads:
            raise ArgusError(f"a width of {width} does not divide into {heads} heads; choose a multiple of {heads}")
        self.heads = heads
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, seen: Tensor | None = None, bias: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """(B, Q, C) queries over (B, N, C) keys and values: (B, Q, C) answers, (B, heads, Q, N) float32 weights.

        ``seen`` (B, N) marks keys that count, at least one per image; ``bias`` (B, heads, Q, N) is added to logits.
        """
        q, k, v = (
            rearrange(project(x), "b n (h c) -> b h n c", h=self.heads)
            for project, x in ((self.query, query), (self.key, key), (self.value, value))
        )
        logits = (q @ k.transpose(2, 3)).float() / q.shape[-1] ** 0.5
        if bias is not None:
            logits = logits + bias
        if seen is not None:
            logits = logits.masked_fill(~seen[:, None, None], -torch.inf)
        weights = logits.softmax(dim=-1)
        return self.out(rearrange(weights.to(v.dtype) @ v, "b h n c -> b n (h c)")), weights


def feed_forward(width: int, inner: int, outputs: int | None = None) -> nn.Sequential:
    """Two linear layers with a GELU between them, on the last dimension."""
    return nn.Sequential(nn.Linear(width, inner), nn.GELU(), nn.Linear(inner, outputs or width))


def place_code(places: Tensor, channels: int) -> Tensor:
    """(..., channels) code in -1..1 of ``places`` (..., 2) given as shares 0..1 of the image.

    Sine and cosine of y and x at channels / 4 frequencies, from a quarter of a wave to 16 waves.
    """
    waves = 0.25 * 64 ** torch.linspace(0, 1, channels // 4, device=places.device)
    angles = 2 * torch.pi * places.flip(-1)[..., None] * waves  # (..., 2, channels / 4)
    return torch.cat([angles.sin(), angles.cos()], dim=-1).flatten(-2)
