"""The linear classifier: one layer on the CLS token."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from argus_core.head import Head
from argus_core.recipe import Recipe
from argus_core.tasks.classify import Classify
from argus_core.tokens import FeatureInfo, Features, Needs


class LinearClassifier(Head):
    """One linear layer, zero at first, on the L2-normalised CLS token of the last layer.

    Normalised inputs and zero weights need unusually large rates, which the recipe tries side by side.
    ``normalize=False`` reads the token as it is, like the classifier that a backbone was trained with.
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

    def __init__(self, info: FeatureInfo, task: Classify, *, normalize: bool = True) -> None:
        super().__init__(info, task)
        self.normalize = normalize
        channels = info.channels[self.needs.resolve(info).layers[-1]]
        self.classify = nn.Linear(channels, len(task.classes))
        nn.init.zeros_(self.classify.weight)
        nn.init.zeros_(self.classify.bias)

    def forward(self, features: Features) -> Tensor:
        """Logits (B, K)."""
        token = features.cls[-1]
        return self.classify(F.normalize(token, dim=1) if self.normalize else token)
