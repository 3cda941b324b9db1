"""A linear classifier that is solved instead of trained."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from argus_core.head import Head
from argus_core.nn import Moments, Rule, class_logits, full_precision, total_over_batches
from argus_core.recipe import Recipe
from argus_core.tasks.classify import Classify, ClassTarget
from argus_core.tokens import FeatureInfo, Features, Needs
from argus_heads.labels import class_moments, unseen_classes


class RidgeClassifier(Head):
    """Classes told apart by ridge regression on their indicators, or with ``rule=lda`` by Fisher's discriminants.

    One pass over the training split, no gradient; memory does not grow with it. The penalty is chosen by generalised
    cross-validation. Inputs are L2-normalised CLS tokens of the last layer, as they are with ``normalize=False``. A
    head that was not fitted scores all classes alike.
    """

    solves = Classify
    needs = Needs(maps=False, cls=True)
    recipe = Recipe(batch=256)

    task: Classify
    weight: Tensor
    bias: Tensor
    seen: Tensor

    def __init__(self, info: FeatureInfo, task: Classify, *, rule: Rule = "ridge", normalize: bool = True) -> None:
        super().__init__(info, task)
        self.rule, self.normalize = rule, normalize
        channels = info.channels[self.needs.resolve(info).layers[-1]]
        self.register_buffer("weight", torch.zeros(len(task.classes), channels))
        self.register_buffer("bias", torch.zeros(len(task.classes)))
        self.register_buffer("seen", torch.ones(len(task.classes), dtype=torch.bool))

    def forward(self, features: Features) -> Tensor:
        """Logits (B, K)."""
        x = self._inputs(features)
        with full_precision(x.device):
            return F.linear(x, self.weight, self.bias)

    def fit(self, batches: Iterable[tuple[Features, Sequence[ClassTarget]]]) -> None:
        """Solve from the moments of tokens and classes."""
        moments = total_over_batches(batches, self._moments)
        inputs = self.weight.shape[1]
        weights = class_logits(moments, inputs, self.rule)
        self.weight.copy_(weights[:-1].T)
        self.bias.copy_(weights[-1])
        self.seen.copy_(moments.mean[inputs:] > 0)

    def _moments(self, features: Features, targets: Sequence[ClassTarget]) -> Moments:
        return class_moments(self._inputs(features), targets, len(self.bias))

    def _inputs(self, features: Features) -> Tensor:
        token = features.cls[-1].float()
        return F.normalize(token, dim=1) if self.normalize else token

    def notes(self) -> list[str]:
        """The classes without training images."""
        return unseen_classes("images", self.task.classes, self.seen)
