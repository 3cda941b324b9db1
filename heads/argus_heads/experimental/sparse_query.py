"""Queries at likely objects: an objectness map chooses the few cells that a decoder reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import box_convert, sigmoid_focal_loss

from argus_core.detection import (
    IGNORE,
    PRIOR,
    Points,
    SetHead,
    SetOutput,
    assign,
    centres,
    grid_points,
    logit,
    prediction,
    sine_code,
)
from argus_core.detection.assign import BACKGROUND
from argus_core.detection.attention import Attention, feed_forward
from argus_core.nn import batch_total
from argus_core.recipe import Recipe
from argus_core.tasks.detect import BoxTarget, Detect
from argus_core.tokens import FeatureInfo, Features, Needs, Taps, cell_mask, default_layers

LAYERS = 3
POOLED = 10
"""Height and width of the context, in tokens."""


class ConvLN(nn.Sequential):
    """Convolution, LayerNorm over the channels of each cell, GELU: cells interact only through the kernel."""

    def __init__(self, channels: int, width: int, kernel: int) -> None:
        super().__init__(nn.Conv2d(channels, width, kernel, padding=kernel // 2), nn.LayerNorm(width), nn.GELU())

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, h, w) to (B, width, h, w)."""
        conv, norm, act = self
        return act(norm(conv(x).permute(0, 2, 3, 1))).permute(0, 3, 1, 2)


def near_middles(points: Points, boxes: Tensor) -> Tensor:
    """(N,) the box whose centre is nearest, if it is less than 1.5 strides away along both axes, or ``BACKGROUND``."""
    distance = (points.xy[:, None] - centres(boxes)).abs().amax(dim=2)  # (N, G)
    nearest, index = distance.min(dim=1)
    return torch.where(nearest < 1.5 * points.stride, index, BACKGROUND)


def pooled(x: Tensor, visible: Tensor) -> tuple[Tensor, Tensor]:
    """(B, P, C) means over 10 x 10 regions of the ``visible`` cells, and (B, P) whether a region has any."""
    share = F.adaptive_avg_pool2d(visible.float(), POOLED)
    means = F.adaptive_avg_pool2d(x * visible, POOLED) / share.clamp(min=1e-6)
    return means.flatten(2).transpose(1, 2), share.flatten(1) > 0


@dataclass(frozen=True, kw_only=True)
class SparseOutput(SetOutput):
    """A ``SetOutput``, (B, 1, h, w) ``objectness`` logits of all cells, and the ``chosen`` (B, Q) ones."""

    objectness: Tensor
    chosen: Tensor


class SparseLayer(nn.Module):
    """Attention among queries and to the pooled context, if there is one, and feed-forward; norms come first."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.among, self.look = Attention(width), Attention(width)
        self.feed = feed_forward(width, 2 * width)

    def forward(self, x: Tensor, usable: Tensor, context: Tensor | None, visible: Tensor | None) -> Tensor:
        """New queries (B, Q, C). ``usable`` (B, Q) queries and ``visible`` (B, P) parts of the context hold image."""
        y = self.norms[0](x)
        x = x + self.among(y, y, y, usable)[0]
        if context is not None:
            x = x + self.look(self.norms[1](x), context, context, visible)[0]
        return x + self.feed(self.norms[2](x))


class SparseQuery(SetHead):
    """The ``queries`` cells of highest objectness become queries; the rest is only read as 10 x 10 means.

    Yang 2022; Roh 2022; Zhu 2021; Sun 2021. A box is an offset from its cell and two log sides: distances to four
    sides would force every box to contain the middle of its cell, which objects smaller than a cell may not.
    """

    recipe = Recipe(lr=5e-4, batch=16, epochs=24, clip=1.0)
    objectness_weight: float = 1.0

    def __init__(self, info: FeatureInfo, task: Detect, *, width: int = 192, queries: int = 256) -> None:
        super().__init__(info, task)
        self.needs = Needs(layers=default_layers(info))
        self.taps = Taps(info, self.needs)
        self.stride, self.queries = self.taps.stride, queries
        self.stem = ConvLN(self.taps.channels, width, 1)
        self.scorer = nn.Sequential(ConvLN(width, width, 3), prediction(width, 1, prior=PRIOR))
        self.layers = nn.ModuleList(SparseLayer(width) for _ in range(LAYERS))
        self.classify = nn.Linear(width, len(task.classes))
        self.box = feed_forward(width, width, 4)
        nn.init.normal_(self.classify.weight, std=0.01)
        nn.init.constant_(self.classify.bias, logit(PRIOR))

    def forward(self, features: Features) -> SparseOutput:
        """Predictions at the chosen cells, best first, after every layer."""
        x = self.stem(self.taps(features))
        grid = (x.shape[2], x.shape[3])
        visible = cell_mask(features.extent, self.stride, grid)  # (B, 1, h, w)
        x = (x + sine_code(grid, self.stride, features.size, x.shape[1], x.device)) * visible
        objectness = self.scorer(x).float()
        ranks = objectness.masked_fill(~visible, -torch.inf).flatten(1)  # (B, N)
        # A stable order: cells of padding are all equal, and an image must not depend on its batch.
        chosen = ranks.sort(dim=1, descending=True, stable=True).indices[:, : self.queries]
        usable = ranks.gather(1, chosen).isfinite()
        tokens = x.flatten(2).transpose(1, 2)
        predictions = self.decode_queries(tokens, chosen, objectness.flatten(1), usable, *pooled(x, visible))
        *earlier, (logits, boxes) = [(cls, self._boxes(box, chosen, grid)) for cls, box in predictions]
        return SparseOutput(
            logits, boxes, features.extent, usable, tuple(earlier), objectness=objectness, chosen=chosen
        )

    def decode_queries(
        self,
        tokens: Tensor,
        chosen: Tensor,
        objectness: Tensor,
        usable: Tensor,
        context: Tensor | None = None,
        visible: Tensor | None = None,
    ) -> list[tuple[Tensor, Tensor]]:
        """Per layer (B, Q, K) logits and (B, Q, 4) offsets and log sides of the ``chosen`` (B, Q) of (B, N, C) tokens.

        Only these are read, and ``context`` (B, P, C) where ``visible`` (B, P). ``objectness`` (B, N) gets gradients
        from the predictions, too.
        """
        x = tokens.gather(1, chosen[..., None].expand(-1, -1, tokens.shape[2]))
        x = x * (1 + objectness.gather(1, chosen).sigmoid()[..., None])
        predictions = []
        for layer in self.layers:
            x = layer(x, usable, context, visible)
            normed = F.layer_norm(x, x.shape[-1:])
            predictions.append((self.classify(normed).float(), self.box(normed).float()))
        return predictions

    def _boxes(self, box: Tensor, chosen: Tensor, grid: tuple[int, int]) -> Tensor:
        middles = grid_points([grid], [self.stride], box.device).xy[chosen]  # (B, Q, 2)
        offset, log_sides = box.split(2, dim=-1)
        sides = self.stride * log_sides.clamp(-8, 8).exp()
        return box_convert(torch.cat([middles + self.stride * offset, sides], dim=-1), "cxcywh", "xyxy")

    def scores(self, output: SetOutput) -> Tensor:
        """The product of class score and objectness."""
        assert isinstance(output, SparseOutput)
        objectness = output.objectness.flatten(1).gather(1, output.chosen).sigmoid()
        return output.logits.sigmoid() * objectness[..., None]

    def extra_loss(self, output: SetOutput, targets: Sequence[BoxTarget]) -> dict[str, Tensor]:
        """``objectness``: cells near the centre of an object are positive."""
        assert isinstance(output, SparseOutput)
        grid = (output.objectness.shape[2], output.objectness.shape[3])
        points = grid_points([grid], [self.stride], output.extent.device)
        pairs = zip(targets, output.extent, strict=True)
        matched = torch.stack([assign(near_middles, points, target, extent) for target, extent in pairs])
        used, positive = matched != IGNORE, (matched >= 0).float()
        focal = sigmoid_focal_loss(output.objectness.flatten(1)[used], positive[used], 0.25, 2, reduction="sum")
        return {"objectness": self.objectness_weight * focal / batch_total(positive.sum())}
