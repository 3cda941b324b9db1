"""DPT for depth: four taps fused from coarse to fine."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from argus_core.head import Head
from argus_core.nn import BinLogits, Decoder, SILog, canvas_depth, four_layers
from argus_core.recipe import Conditions, Recipe
from argus_core.tasks.depth import Depth, DepthTarget
from argus_core.tokens import FeatureInfo, Features, Needs


class DPT(Head):
    """The decoder of a dense prediction transformer (Ranftl 2021) with ``bins`` linear depth bins.

    Four ``layers``, by default evenly spaced ones, become maps of a quarter, a half, one and two times the
    backbone's stride; those of a pyramid, by default of strides 4 to 32, keep their strides. ``double`` enlarges the
    last map once more before it is read, as published: four times the work of that layer.
    """

    solves = Depth
    recipe = Recipe(
        lr=1e-4,
        weight_decay=1e-3,
        batch=16,
        epochs=25,  # equal to ``steps`` on the 24,231 images of NYU Depth V2
        steps=38_400,
        conditions=Conditions(canvas=(416, 416)),
    )

    def __init__(
        self,
        info: FeatureInfo,
        task: Depth,
        *,
        width: int = 256,
        bins: int = 256,
        layers: tuple[int, ...] = (),
        double: bool = True,
    ) -> None:
        super().__init__(info, task)
        # Every tap has its own norm, so the backbone's final norm, trained for the last block, is not applied.
        self.needs = Needs(layers=layers or four_layers(info), norm=False)
        self.low, self.high = task.low, task.high
        self.decoder = Decoder(info, self.needs, width, double)
        self.predict = nn.Conv2d(width, bins, 3, padding=1)
        self.criterion = SILog()

    def forward(self, features: Features) -> BinLogits:
        """Bin logits at the finest level's stride, or half of it."""
        return BinLogits(self.predict(self.decoder(features)), self.decoder.stride, features.extent)

    def loss(self, output: BinLogits, targets: Sequence[DepthTarget]) -> dict[str, Tensor]:
        """SILog at canvas resolution, over the known pixels of the batch."""
        truth = torch.stack([target.depth for target in targets])  # (B, H, W)
        depth = canvas_depth(output, self.low, self.high, (truth.shape[1], truth.shape[2]))
        return {"silog": self.criterion(depth, truth)}
