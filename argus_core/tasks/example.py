"""What the examples of all tasks share: padded images, and tokens painted layer by layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from argus_core.tokens import FeatureInfo, Tokens, cell_mask


def draw_extents(canvas: tuple[int, int], images: int) -> Tensor:
    """(B, 2): the whole canvas for every other image; the others are padded, in turn to the right and below."""
    extent = torch.tensor(canvas).repeat(images, 1)
    extent[1::4, 1] = extent[1::4, 1] * 3 // 4
    extent[3::4, 0] = extent[3::4, 0] * 3 // 4
    return extent


def paint_tokens(
    info: FeatureInfo,
    layers: Sequence[int],
    canvas: tuple[int, int],
    extent: Tensor,
    generator: torch.Generator,
    paint: Callable[[int], Tensor],
) -> Tokens:
    """Tokens with the map (B, C, h, w) that ``paint`` gives for each layer, cut at ``extent``, and random prefixes."""
    maps, prefix = {}, {}
    for layer in sorted({layer % info.depth for layer in layers}):
        maps[layer] = paint(layer) * cell_mask(extent, info.strides[layer], info.grid(canvas, layer))
        prefix[layer] = torch.randn(len(extent), max(1, info.prefix), info.channels[layer], generator=generator)
    return Tokens(maps, prefix, extent, canvas, info)


def blend_vectors(shares: Tensor, vectors: Tensor, generator: torch.Generator) -> Tensor:
    """(B, C, h, w): ``vectors`` (K, C) weighted by each cell's ``shares`` (B, K, h, w), plus noise."""
    noise = 0.3 * torch.randn(len(shares), vectors.shape[1], *shares.shape[2:], generator=generator)
    return torch.einsum("bkhw,kc->bchw", shares, vectors) + noise
