"""The linear classifier: one layer on the CLS token."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from argus_core.head import Head
from argus_core.nn import Moments, class_logits, total_over_batches
from argus_core.recipe import Recipe
from argus_core.tasks.classify import Classify, ClassTarget
from argus_core.tokens import FeatureInfo, Features, Needs
from argus_heads.labels import class_moments


class LinearClassifier(Head):
    """One linear layer, zero at first, on the L2-normalised CLS token of the last layer.

    Normalised inputs and zero weights need unusually large rates, which the recipe tries side by side.
    ``normalize=False`` reads the token as it is, like the classifier that a backbone was trained with.
    ``init=ridge`` starts from ridge regressions of the classes.
    """

    solves = Classify
    needs = Needs(maps=False, cls=True)
    recipe = Recipe(
        optimizer="sgd",
        lr=30.0,
        sweep=(10.0, 3.0, 1.0, 0.5),
        momentum=0.9,
        weight_decay=0,
        batch=4096,
        epochs=100,
        warmup=0,
        clip=0,
    )

    def __init__(
        self, info: FeatureInfo, task: Classify, *, normalize: bool = True, init: Literal["zero", "ridge"] = "zero"
    ) -> None:
        super().__init__(info, task)
        self.normalize, self.init = normalize, init
        channels = info.channels[self.needs.resolve(info).layers[-1]]
        self.classify = nn.Linear(channels, len(task.classes))
        nn.init.zeros_(self.classify.weight)
        nn.init.zeros_(self.classify.bias)

    def forward(self, features: Features) -> Tensor:
        """Logits (B, K)."""
        return self.classify(self._inputs(features))

    @property
    def fitted(self) -> bool:
        """Whether training starts from a ridge regression."""
        return self.init == "ridge"

    @torch.no_grad()
    def fit(self, batches: Iterable[tuple[Features, Sequence[ClassTarget]]]) -> None:
        """Solve the layer."""
        weights = class_logits(total_over_batches(batches, self._moments), self.classify.in_features, "ridge")
        self.classify.weight.copy_(weights[:-1].T)
        self.classify.bias.copy_(weights[-1])

    def _moments(self, features: Features, targets: Sequence[ClassTarget]) -> Moments:
        return class_moments(self._inputs(features), targets, self.classify.out_features)

    def _inputs(self, features: Features) -> Tensor:
        token = features.cls[-1]
        return F.normalize(token, dim=1) if self.normalize else token
