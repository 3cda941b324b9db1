"""Learned queries that look around a moving place: a small transformer decoder without anchors or suppression."""

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
"""Places keep this share of the image away from its edge, where their logit would be infinite."""
SHARPEST, WIDEST = math.log(1e-3), math.log(1e2)
"""Limits of the log of a gaze's spread."""


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

    def forward(self, x: Tensor, at: Tensor, memory: Tensor, places: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        """(B, Q, C) queries at (B, Q, 2) and (B, N, C) tokens at (B, N, 2): new queries and the (B, Q, 2) seen places.

        Places are shares 0..1 of the image (x, y); the ``seen`` place is the mean over heads of where attention lies.
        """
        code, key_code = place_code(at, x.shape[-1]), place_code(places, x.shape[-1])
        y = self.norms[0](x)
        x = x + self.among(y + code, y + code, y)[0]
        y = self.norms[1](x)
        answer, weights = self.look(y + code, memory + key_code, memory, seen, self._bias(y, at, places))
        x = x + answer
        x = x + self.feed(self.norms[2](x))
        # Not a matrix product, which autocast would round: bfloat16 knows a place to three digits.
        return x, (weights.mean(dim=1)[..., None] * places[:, None]).sum(dim=2)

    def _bias(self, y: Tensor, at: Tensor, places: Tensor) -> Tensor:
        """(B, heads, Q, N): minus half the squared distance of token and gaze, in spreads."""
        shift, spread = self.gaze(y).float().unflatten(2, (-1, 3)).transpose(1, 2).split([2, 1], dim=-1)
        offset = (at[:, None] + shift)[..., None, :] - places[:, None, None]  # (B, heads, Q, N, 2)
        return -0.5 * offset.square().sum(dim=-1) / spread.clamp(SHARPEST, WIDEST).exp().square()


class AdaptiveQuery(SetHead):
    """``queries`` learned vectors and places, three decoder layers; boxes start from where attention lies.

    Carion 2020; Meng 2021; Gao 2021. Places are shares of the image and not of the canvas, so that no query is
    spent on padding; queries are normed without parameters before the answers, as norms come first in every layer.
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
        seen = cell_mask(extent, stride, grid).flatten(1)
        found = self.decode_queries(memory, visible_middles(extent, stride, grid), seen)
        scale = extent.flip(1).repeat(1, 2)[:, None]  # (B, 1, 4) width, height, twice
        *earlier, (logits, boxes) = [(each, box_convert(box, "cxcywh", "xyxy") * scale) for each, box, _ in found]
        return SetOutput(logits, boxes, extent, earlier=tuple(earlier))

    def decode_queries(self, memory: Tensor, places: Tensor, seen: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Per layer (B, Q, K) logits, (B, Q, 4) centre and sides in shares of the image, (B, Q, 2) seen places.

        (B, N, C) ``memory`` at (B, N, 2) ``places`` in 0..1; ``seen`` (B, N) says which tokens hold image.
        """
        x = self.content.expand(len(memory), -1, -1)
        at, found = self.places.sigmoid().expand(len(memory), -1, -1), []
        for layer in self.layers:
            x, looked = layer(x, at, memory, places, seen)
            found.append((*self._answer(x, looked), looked))
            at = looked.detach()  # each layer learns from its own answer (Zhu 2021)
        return found

    def _answer(self, x: Tensor, looked: Tensor) -> tuple[Tensor, Tensor]:
        normed = F.layer_norm(x, x.shape[-1:])
        move, side = self.box(normed).float().split(2, dim=-1)
        return self.classify(normed).float(), torch.cat([looked.logit(EDGE) + move, side], dim=-1).sigmoid()


def visible_middles(extent: Tensor, stride: int, grid: tuple[int, int]) -> Tensor:
    """(B, h * w, 2) x, y in 0..1 of the image: the middle of the part of each cell that holds image."""
    axes = []
    for cells, end in zip(grid, extent.T, strict=True):
        start = torch.arange(cells, device=extent.device) * stride
        middle = (start + torch.minimum(start + stride, end[:, None])) / 2
        axes.append((middle / end[:, None]).clamp(max=1))  # (B, cells)
    y, x = axes
    return torch.stack(torch.broadcast_tensors(x[:, None, :], y[:, :, None]), dim=-1).flatten(1, 2)
