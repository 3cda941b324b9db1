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
    """A gated unit (Arevalo 2017) of two layers: ``g * a + (1 - g) * b`` in every cell and channel, g from both.

    ``layers`` are any two; negative ones count from the last. The coarser is enlarged to the grid of the finer.
    ``width`` is the number of channels they are projected to, ``dropout`` the share of these that training drops.
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
        finest = min(self.strides)
        finer_map = features.maps[self.strides.index(finest)]
        grid = (finer_map.shape[2], finer_map.shape[3])
        projected = []
        for x, project, stride in zip(features.maps, (self.first, self.second), self.strides, strict=True):
            x = torch.tanh(project(_standardised(x)))
            if stride > finest:
                x = enlarge(repeat_border(x, stride, features.extent), stride // finest, grid)
            projected.append(x)
        first, second = projected
        gate = self.gate(torch.cat([first, second], dim=1)).sigmoid()
        mixed = self.dropout(gate * first + (1 - gate) * second)
        return DenseLogits(self.classify(mixed), finest, features.extent)


def _standardised(x: Tensor) -> Tensor:
    """Every cell (B, C, h, w) with mean 0 and variance 1 over its channels, whatever the scale of its layer."""
    return F.layer_norm(x.permute(0, 2, 3, 1), x.shape[1:2]).permute(0, 3, 1, 2)
