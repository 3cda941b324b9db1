"""A linear depth probe that is solved instead of trained."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from argus_core.errors import ArgusError
from argus_core.head import Head
from argus_core.nn import (
    CELL_PENALTY,
    LogDepth,
    Moments,
    cell_means,
    find_penalty,
    full_precision,
    residual_variance,
    ridge,
    total_over_batches,
)
from argus_core.recipe import Recipe
from argus_core.tasks.depth import Depth, DepthTarget
from argus_core.tokens import FeatureInfo, Features, Needs, Taps, default_layers


class RidgeDepth(Head):
    """The logarithm of every cell's depth by ridge regression; its error tells the deviation, a share of the depth.

    One pass over the training split, no gradient; memory does not grow with it. The penalty is chosen by generalised
    cross-validation, within what suits cells. Layers and ``stride`` are as in ``depth.linear``. A head that was not
    fitted says the middle of the task's range, in logarithms.
    """

    solves = Depth
    recipe = Recipe(batch=16)

    weight: Tensor
    bias: Tensor
    deviation: Tensor

    def __init__(
        self, info: FeatureInfo, task: Depth, *, layers: tuple[int, ...] = (), stride: int | None = None
    ) -> None:
        super().__init__(info, task)
        self.needs = Needs(layers=layers or default_layers(info))
        self.taps = Taps(info, self.needs, stride=stride)
        self.register_buffer("weight", torch.zeros(1, self.taps.channels))
        self.register_buffer("bias", torch.tensor([task.low * task.high]).log() / 2)
        self.register_buffer("deviation", torch.zeros(()))

    def forward(self, features: Features) -> LogDepth:
        """The logarithm of every cell's depth, and its deviation."""
        x = self.taps(features).float()
        with full_precision(x.device):
            logs = F.conv2d(x, self.weight[:, :, None, None], self.bias)[:, 0]
        return LogDepth(logs, self.deviation.expand_as(logs), self.taps.stride, features.extent)

    def fit(self, batches: Iterable[tuple[Features, Sequence[DepthTarget]]]) -> None:
        """Solve from the moments of cells and of the mean logarithm of their known depths."""
        moments = total_over_batches(batches, self._moments)
        if not moments.count:
            raise ArgusError("no depth of the training split is known; use other images")
        inputs = self.weight.shape[1]
        weights = ridge(moments, inputs, find_penalty(moments, inputs, CELL_PENALTY))
        self.weight.copy_(weights[:-1].T)
        self.bias.copy_(weights[-1])
        self.deviation.copy_(residual_variance(moments, inputs, weights)[0].sqrt())

    def _moments(self, features: Features, targets: Sequence[DepthTarget]) -> Moments:
        depth = torch.stack([target.depth for target in targets])
        known = depth > 0
        logs, share = cell_means(torch.where(known, depth, 1).log(), known, self.taps.stride)
        cells = self.taps(features).permute(0, 2, 3, 1)[share > 0]
        return Moments.of(torch.cat([cells, logs[share > 0][:, None]], dim=1), share[share > 0])
