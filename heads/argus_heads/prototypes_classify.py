"""Class prototypes: one mean feature per class, compared by cosine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from argus_core.head import Head
from argus_core.nn import total_over_batches
from argus_core.recipe import Recipe
from argus_core.tasks.classify import Classes, Classify, ClassTarget
from argus_core.tokens import FeatureInfo, Features, Needs
from argus_heads.labels import unseen_classes


class Prototypes(Head):
    """The cosine of an image's CLS token to the mean of each class's L2-normalised tokens (Snell 2017).

    One pass over the training split, no gradient. Scores are cosines in -1..1, not probabilities; a class without
    images scores -1, and a head that was not fitted scores 0.
    """

    solves = Classify
    needs = Needs(maps=False, cls=True)
    recipe = Recipe(batch=256)

    task: Classify
    prototypes: Tensor

    def __init__(self, info: FeatureInfo, task: Classify) -> None:
        super().__init__(info, task)
        channels = info.channels[self.needs.resolve(info).layers[-1]]
        self.register_buffer("prototypes", torch.zeros(len(task.classes), channels))

    def fit(self, batches: Iterable[tuple[Features, Sequence[ClassTarget]]]) -> None:
        """Average the normalised tokens of each class, in float64 so that the order of images does not matter."""
        sums = total_over_batches(batches, self._sums)
        # A cosine ignores the length of a sum, so the mean needs no count.
        self.prototypes.copy_(F.normalize(sums, dim=1))

    def _sums(self, features: Features, targets: Sequence[ClassTarget]) -> Tensor:
        """(K, C) float64 sums of the tokens of each class in a batch."""
        labels = torch.stack([target.label for target in targets])
        sums = torch.zeros_like(self.prototypes, dtype=torch.float64)
        return sums.index_add_(0, labels, F.normalize(features.cls[-1], dim=1).double())

    def forward(self, features: Features) -> Tensor:
        """Cosines (B, K)."""
        cosines = F.normalize(features.cls[-1], dim=1) @ self.prototypes.T
        empty = self._empty()
        return cosines.masked_fill(empty & ~empty.all(), -1.0)

    def notes(self) -> list[str]:
        """The classes without training images."""
        empty = self._empty()
        return [] if empty.all() else unseen_classes("images", self.task.classes, ~empty)

    def _empty(self) -> Tensor:
        return ~self.prototypes.any(dim=1)

    def decode(self, output: Tensor, canvas: tuple[int, int]) -> list[Classes]:
        """The cosines of each image."""
        return [Classes(cosines) for cosines in output.float()]
