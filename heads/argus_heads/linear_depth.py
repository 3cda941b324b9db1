"""The linear depth probe: the depth of every cell from its tokens alone."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from argus_core.head import Head
from argus_core.nn import BinLogits, MaskedBatchNorm2d, SigLoss, canvas_depth
from argus_core.recipe import Conditions, Recipe
from argus_core.tasks.depth import Depth, DepthTarget
from argus_core.tokens import FeatureInfo, Features, Needs, Taps, cell_mask, default_layers


class LinearDepth(Head):
    """Batch normalisation and one 1x1 convolution to ``bins`` linear bins (the linear probe of DINOv2, Oquab 2023).

    Several ``layers``, of a pyramid by default those of strides 8, 16 and 32, are brought to ``stride`` px and stacked
    on channels. Depth is decoded per cell and then enlarged bilinearly.
    """

    solves = Depth
    recipe = Recipe(
        lr=3e-4,
        weight_decay=1e-3,
        betas=(0.9, 0.99),
        clip=35,
        schedule="onecycle-momentum",
        warmup=1 / 3,
        epochs=25,  # equal to ``steps`` on the 24,231 images of NYU Depth V2
        steps=38_400,
        batch=16,
        conditions=Conditions(canvas=(416, 544)),
    )

    def __init__(
        self,
        info: FeatureInfo,
        task: Depth,
        *,
        layers: tuple[int, ...] = (),
        stride: int | None = None,
        bins: int = 256,
    ) -> None:
        super().__init__(info, task)
        self.needs = Needs(layers=layers or default_layers(info))
        self.low, self.high = task.low, task.high
        self.taps = Taps(info, self.needs, stride=stride)
        self.norm = MaskedBatchNorm2d(self.taps.channels)
        self.predict = nn.Conv2d(self.taps.channels, bins, 1)
        nn.init.normal_(self.predict.weight, std=0.01)
        nn.init.zeros_(self.predict.bias)  # type: ignore[arg-type]
        self.criterion = SigLoss()

    def forward(self, features: Features) -> BinLogits:
        """Bin logits of every cell."""
        x = self.taps(features)  # (B, C, h, w)
        mask = cell_mask(features.extent, self.taps.stride, (x.shape[2], x.shape[3]))
        return BinLogits(self.predict(self.norm(x, mask)), self.taps.stride, features.extent)

    def loss(self, output: BinLogits, targets: Sequence[DepthTarget]) -> dict[str, Tensor]:
        """SigLoss at canvas resolution, over the known pixels of the batch."""
        truth = torch.stack([target.depth for target in targets])  # (B, H, W)
        depth = canvas_depth(output, self.low, self.high, (truth.shape[1], truth.shape[2]))
        return {"sigloss": self.criterion(depth, truth)}
