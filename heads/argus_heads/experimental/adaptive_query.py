"""Learned queries that attend around a moving place: a small transformer decoder without anchors or suppression."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import box_convert

from argus_core.detection import PRIOR, ConvGN, SetHead, SetOutput, logit
from argus_core.detection.attention import Attention, feed_forward, place_code
from argus_core.recipe import Recipe
from argus_core.tasks.detect import Detect
from argus_core.tokens import FeatureInfo, Features, Needs, Taps, cell_mask, default_layers

LAYERS = 3
EDGE = 1e-4
"""Places stay this share of the image away from its edge, where their logit would be infinite."""
LOG_SPREADS = math.log(1e-3), math.log(1e2)
"""Limits of the logarithm of a Gaussian's spread."""


class AdaptiveLayer(nn.Module):
    """Self-attention, cross-attention under one Gaussian per query and head, feed-forward; norms come first.

    Centre and spread of the Gaussian are read from the query (spatially modulated attention, Gao 2021).
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.among, self.look = Attention(width), Attention(width)
        self.gaze = nn.Linear(width, 3 * self.look.heads)
        nn.init.zeros_(self.gaze.weight)
        self.gaze.bias.data = torch.tensor([0.0, 0.0, math.log(0.5)]).repeat(self.look.heads)
        self.feed = feed_forward(width, 2 * width)

    def forward(
        self, x: Tensor, places: Tensor, memory: Tensor, token_places: Tensor, visible: Tensor
    ) -> tuple[Tensor, Tensor]:
        """New queries (B, Q, C), and the mean places (B, Q, 2) that they attend to.

        Queries ``x`` (B, Q, C) are at ``places`` (B, Q, 2), tokens ``memory`` (B, N, C) at ``token_places``: x, y as
        shares 0..1 of the image.
        """
        code, token_code = place_code(places, x.shape[-1]), place_code(token_places, x.shape[-1])
        y = self.norms[0](x)
        x = x + self.among(y + code, y + code, y)[0]
        y = self.norms[1](x)
        bias = self._bias(y, places, token_places)
        update, weights = self.look(y + code, memory + token_code, memory, visible, bias)
        x = x + update
        x = x + self.feed(self.norms[2](x))
        # Not a matrix product, which autocast would round: bfloat16 has three digits for a place.
        return x, (weights.mean(dim=1)[..., None] * token_places[:, None]).sum(dim=2)

    def _bias(self, y: Tensor, places: Tensor, token_places: Tensor) -> Tensor:
        """(B, heads, Q, N): minus half the squared distance of a token from the Gaussian's centre, in spreads."""
        shift, spread = self.gaze(y).float().unflatten(2, (-1, 3)).transpose(1, 2).split([2, 1], dim=-1)
        offset = (places[:, None] + shift)[..., None, :] - token_places[:, None, None]  # (B, heads, Q, N, 2)
        return -0.5 * offset.square().sum(dim=-1) / spread.clamp(*LOG_SPREADS).exp().square()


class AdaptiveQuery(SetHead):
    """``queries`` learned vectors and places, and three decoder layers; boxes start at the places attended to.

    Carion 2020; Meng 2021; Gao 2021. Places are shares of the image, not of the canvas, so that no query is spent on
    padding. Norms come first in every layer, so the last queries are normalised, without parameters, before they are
    read.
    """

    recipe = Recipe(lr=2e-4, batch=16, epochs=24, clip=0.1)

    def __init__(self, info: FeatureInfo, task: Detect, *, width: int = 256, queries: int = 300) -> None:
        super().__init__(info, task)
        self.needs = Needs(layers=default_layers(info))
        self.taps = Taps(info, self.needs)
        self.stem = ConvGN(self.taps.channels, width, 1)
        self.content = nn.Parameter(torch.randn(queries, width))
        self.places = nn.Parameter(torch.rand(queries, 2).clamp(0.01, 0.99).logit())
        self.layers = nn.ModuleList(AdaptiveLayer(width) for _ in range(LAYERS))
        self.classify = nn.Linear(width, len(task.classes))
        self.box = feed_forward(width, width, 4)
        nn.init.normal_(self.classify.weight, std=0.01)
        nn.init.constant_(self.classify.bias, logit(PRIOR))

    def forward(self, features: Features) -> SetOutput:
        """Logits and boxes of every query after every layer."""
        x = self.stem(self.taps(features))
        memory, grid = x.flatten(2).transpose(1, 2), (x.shape[2], x.shape[3])  # (B, N, C)
        stride, extent = self.taps.stride, features.extent
        visible = cell_mask(extent, stride, grid).flatten(1)
        predictions = self.decode_queries(memory, visible_middles(extent, stride, grid), visible)
        scale = extent.flip(1).repeat(1, 2)[:, None]  # (B, 1, 4) width, height, twice
        *earlier, (logits, boxes) = [(cls, box_convert(box, "cxcywh", "xyxy") * scale) for cls, box, _ in predictions]
        return SetOutput(logits, boxes, extent, earlier=tuple(earlier))

    def decode_queries(
        self, memory: Tensor, token_places: Tensor, visible: Tensor
    ) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Per layer (B, Q, K) logits, (B, Q, 4) centre and sides, and the (B, Q, 2) places attended to.

        Tokens ``memory`` (B, N, C) are at ``token_places`` (B, N, 2); those that are ``visible`` (B, N) hold image.
        All places and sides are shares 0..1 of the image.
        """
        x = self.content.expand(len(memory), -1, -1)
        places, predictions = self.places.sigmoid().expand(len(memory), -1, -1), []
        for layer in self.layers:
            x, attended = layer(x, places, memory, token_places, visible)
            normed = F.layer_norm(x, x.shape[-1:])
            move, sides = self.box(normed).float().split(2, dim=-1)
            boxes = torch.cat([attended.logit(EDGE) + move, sides], dim=-1).sigmoid()
            predictions.append((self.classify(normed).float(), boxes, attended))
            places = attended.detach()  # each layer learns from its own loss (Zhu 2021)
        return predictions


def visible_middles(extent: Tensor, stride: int, grid: tuple[int, int]) -> Tensor:
    """(B, h * w, 2) x, y in 0..1 of the image: the middle of the part of each cell that holds image."""
    axes = []
    for cells, end in zip(grid, extent.T, strict=True):
        start = torch.arange(cells, device=extent.device) * stride
        middle = (start + torch.minimum(start + stride, end[:, None])) / 2
        axes.append((middle / end[:, None]).clamp(max=1))  # (B, cells)
    y, x = axes
    return torch.stack(torch.broadcast_tensors(x[:, None, :], y[:, :, None]), dim=-1).flatten(1, 2)
