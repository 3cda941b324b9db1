"""The linear segmenter: the class of every cell from its tokens alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from argus_core.errors import ArgusError
from argus_core.head import Head
from argus_core.nn import CELL_PENALTY, MaskedBatchNorm2d, Moments, cell_counts, class_logits, total_over_batches
from argus_core.recipe import Conditions, Recipe
from argus_core.tasks.segment import Denominator, DenseLogits, MaskTarget, Segment, cross_entropy
from argus_core.tokens import FeatureInfo, Features, Needs, Taps, cell_mask, default_layers
from argus_heads.labels import share_moments
from argus_heads.ridge_start import start_from


class LinearSegmenter(Head):
    """Batch normalisation and one 1x1 convolution on the stacked ``layers`` (the linear probe of DINOv2, Oquab 2023).

    Of a pyramid ``layers`` are by default those of strides 8, 16 and 32; all are brought to ``stride`` px.
    ``dropout`` drops whole channels before the norm. ``denominator`` ``all`` divides the loss by all pixels, ignored
    ones included. The published probe (DINOv3, EUPE) had dropout 0.1, ``all``, and weight decay on norm and biases,
    too: ``recipe.conditions``. By default nothing is dropped and only labelled pixels count, since with padding and
    unlabelled pixels ``all`` would weigh an image by its labelled share. ``init=ridge`` starts from ridge regressions
    of the classes' shares.
    """

    solves = Segment
    recipe = Recipe(
        lr=1e-3,
        weight_decay=1e-3,
        batch=16,
        epochs=32,  # equal to ``steps`` on the 20,210 images of ADE20K
        steps=40_000,
        schedule="onecycle",
        warmup=1500 / 40_000,
        clip=0,
        conditions=Conditions(canvas=(512, 512), settings={"dropout": 0.1, "denominator": "all", "decayed": "all"}),
    )

    def __init__(
        self,
        info: FeatureInfo,
        task: Segment,
        *,
        layers: tuple[int, ...] = (),
        stride: int | None = None,
        dropout: float = 0.0,
        denominator: Denominator = "valid",
        init: Literal["random", "ridge"] = "random",
    ) -> None:
        super().__init__(info, task)
        if not 0 <= dropout < 1:
            raise ArgusError(f"dropout={dropout} is no share of channels to drop; give 0 or more, and less than 1")
        self.needs = Needs(layers=layers or default_layers(info))
        self.ignore, self.denominator, self.init = task.ignore, denominator, init
        self.taps = Taps(info, self.needs, stride=stride)
        self.dropout = nn.Dropout2d(dropout)
        self.norm = MaskedBatchNorm2d(self.taps.channels)
        self.classify = nn.Conv2d(self.taps.channels, len(task.classes), 1)
        nn.init.normal_(self.classify.weight, std=0.01)
        nn.init.zeros_(self.classify.bias)  # type: ignore[arg-type]

    def forward(self, features: Features) -> DenseLogits:
        """Logits of every cell."""
        x = self.taps(features)
        mask = cell_mask(features.extent, self.taps.stride, (x.shape[2], x.shape[3]))
        return DenseLogits(self.classify(self.norm(self.dropout(x), mask)), self.taps.stride, features.extent)

    def loss(self, output: DenseLogits, targets: Sequence[MaskTarget]) -> dict[str, Tensor]:
        """Cross entropy at canvas resolution."""
        return {"cross_entropy": cross_entropy(output, targets, self.ignore, self.denominator)}

    @property
    def fitted(self) -> bool:
        """Whether training starts from a ridge regression."""
        return self.init == "ridge"

    def fit(self, batches: Iterable[tuple[Features, Sequence[MaskTarget]]]) -> None:
        """Solve norm and convolution together."""
        moments = total_over_batches(batches, self._moments)
        if not moments.count:
            raise ArgusError("no pixel of the training split is labelled; use other images")
        start_from(self.norm, self.classify, moments, class_logits(moments, self.taps.channels, "ridge", CELL_PENALTY))

    @torch.no_grad()
    def _moments(self, features: Features, targets: Sequence[MaskTarget]) -> Moments:
        """Moments of cells and the shares of their classes; a cell counts by its labelled pixels."""
        labels = torch.stack([target.labels for target in targets])
        counts = cell_counts(labels, self.classify.out_channels, self.taps.stride)
        return share_moments(self.taps(features), counts, self.taps.stride)
