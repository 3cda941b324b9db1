"""The linear depth probe: the depth of every cell from its tokens alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from argus_core.errors import ArgusError
from argus_core.head import Head
from argus_core.nn import (
    CELL_PENALTY,
    BinLogits,
    MaskedBatchNorm2d,
    Moments,
    SigLoss,
    bin_shares,
    canvas_depth,
    cell_means,
    find_penalty,
    ridge,
    share_logits,
    total_over_batches,
)
from argus_core.recipe import Conditions, Recipe
from argus_core.tasks.depth import Depth, DepthTarget
from argus_core.tokens import FeatureInfo, Features, Needs, Taps, cell_mask, default_layers
from argus_heads.ridge_start import start_from


class LinearDepth(Head):
    """Batch normalisation and one 1x1 convolution to ``bins`` linear bins (the linear probe of DINOv2, Oquab 2023).

    Several ``layers``, of a pyramid by default those of strides 8, 16 and 32, are brought to ``stride`` px and stacked
    on channels. Depth is decoded per cell and then enlarged bilinearly. ``init=ridge`` starts from ridge regressions of
    the bins' shares.
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
        init: Literal["random", "ridge"] = "random",
    ) -> None:
        super().__init__(info, task)
        self.needs = Needs(layers=layers or default_layers(info))
        self.low, self.high, self.init = task.low, task.high, init
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

    @property
    def fitted(self) -> bool:
        """Whether training starts from a ridge regression."""
        return self.init == "ridge"

    def fit(self, batches: Iterable[tuple[Features, Sequence[DepthTarget]]]) -> None:
        """Solve norm and convolution together."""
        moments = total_over_batches(batches, self._moments)
        if not moments.count:
            raise ArgusError("no depth of the training split is known; use other images")
        inputs = self.taps.channels
        shares = ridge(moments, inputs, find_penalty(moments, inputs, CELL_PENALTY))
        start_from(self.norm, self.predict, moments, share_logits(shares))

    @torch.no_grad()
    def _moments(self, features: Features, targets: Sequence[DepthTarget]) -> Moments:
        """Moments of cells and the shares of the bins around their mean depth.

        A cell counts by its known pixels, over the squared depth, since errors count in relation to depth.
        """
        truth = torch.stack([target.depth for target in targets])
        depth, share = cell_means(truth, truth > 0, self.taps.stride)
        known = share > 0
        bins = bin_shares(depth[known], self.low, self.high, self.predict.out_channels)
        cells = self.taps(features).permute(0, 2, 3, 1)[known]
        least = self.high / 100  # or a few pixels right before the camera would outweigh all others
        return Moments.of(torch.cat([cells, bins], dim=1), share[known] / depth[known].clamp(min=least).square())
