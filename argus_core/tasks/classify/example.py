"""Learnable tokens for classification: the vector of its class in every cell of an image and in its CLS token."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from argus_core.tasks.example import draw_extents, paint_tokens
from argus_core.tokens import FeatureInfo, Tokens


def draw_tokens(
    info: FeatureInfo,
    layers: Sequence[int],
    canvas: tuple[int, int],
    images: int,
    classes: int,
    generator: torch.Generator,
) -> tuple[Tokens, Tensor]:
    """The tokens of images and their labels (B,)."""
    start = torch.randint(classes, (), generator=generator)
    labels = (start + torch.arange(images)) % classes  # in turn, so that few images show many classes
    vectors = {}

    def paint(layer: int) -> Tensor:
        channels = info.channels[layer]
        vectors[layer] = 3 * torch.randn(classes, channels, generator=generator)[labels]
        noise = torch.randn(images, channels, *info.grid(canvas, layer), generator=generator)
        return vectors[layer][:, :, None, None] + noise

    tokens = paint_tokens(info, layers, canvas, draw_extents(canvas, images), generator, paint)
    for layer, prefix in tokens.prefix.items():
        prefix[:, 0] += vectors[layer]
    return tokens, labels
