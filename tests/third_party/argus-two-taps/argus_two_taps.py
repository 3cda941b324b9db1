"""A segmentation head that reads two layers of the backbone and mixes them by a gate."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from argus_core import ArgusError, FeatureInfo, Features, Head, Needs, Recipe, Segment
from argus_core.nn import enlarge
from argus_core.tasks.segment import DenseLogits
from argus_core.tokens import repeat_border


class TwoTaps(Head):
    """A gated unit (Arevalo 2017) of two layers: each cell and channel is ``g * a + (1 - g) * b``, g of both.

    ``layers`` are any two; negative ones count from the last. The coarser is enlarged to the grid of the finer.
    ``width`` is the number of channels they are projected to, ``dropout`` the share of those that training drops.
    """

    solves = Segment
    recipe = Recipe(lr=2e-3, weight_decay=1e-3, batch=16, epochs=12)

    def __init__(
        self,
        info: FeatureInfo,
        task: Segment,
        *,
        layers: tuple[int, int] = (-4, -1),
        width: int = 64,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(info, task)
        if width < 1 or not 0 <= dropout < 1:
            raise ArgusError(f"width={width}, dropout={dropout}: give a width of 1 or more and 0 <= dropout < 1")
        self.needs = Needs(layers=layers)
        first, second = self.needs.resolve(info).layers
        self.strides = (info.strides[first], info.strides[second])
        self.first = nn.Conv2d(info.channels[first], width, 1)
        self.second = nn.Conv2d(info.channels[second], width, 1)
        self.gate = nn.Conv2d(2 * width, width, 1)
        self.dropout = nn.Dropout2d(dropout)
        self.classify = nn.Conv2d(width, len(task.classes), 1)

    def forward(self, features: Features) -> DenseLogits:
        """Logits of every cell of the finer grid."""
        first, second = features.maps
        one, other = torch.tanh(self.first(_alike(first))), torch.tanh(self.second(_alike(second)))
        stride = min(self.strides)
        finer = first if self.strides[0] == stride else second
        grid = (finer.shape[2], finer.shape[3])
        one, other = (
            enlarge(repeat_border(x, own, features.extent), own // stride, grid) if own > stride else x
            for x, own in zip((one, other), self.strides, strict=True)
        )
        gate = self.gate(torch.cat([one, other], dim=1)).sigmoid()
        mixed = self.dropout(gate * one + (1 - gate) * other)
        return DenseLogits(self.classify(mixed), stride, features.extent)


def _alike(x: Tensor) -> Tensor:
    """Every cell (B, C, h, w) at mean 0 and variance 1 over its channels, whatever its layer's scale."""
    return F.layer_norm(x.permute(0, 2, 3, 1), x.shape[1:2]).permute(0, 3, 1, 2)
