"""A linear segmenter that is solved instead of trained."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from argus_core.errors import ArgusError
from argus_core.head import Head
from argus_core.nn import CELL_PENALTY, Moments, Rule, cell_counts, class_logits, full_precision, total_over_batches
from argus_core.recipe import Recipe
from argus_core.tasks.segment import DenseLogits, MaskTarget, Segment
from argus_core.tokens import FeatureInfo, Features, Needs, Taps, default_layers
from argus_heads.labels import share_moments, unseen_classes


class RidgeSegmenter(Head):
    """The class of every cell by ridge regression on its classes' shares, or with ``rule=lda`` by discriminants.

    Two passes over the training split, no gradient; memory does not grow with it. The penalty is chosen by generalised
    cross-validation, within what suits cells. Layers and ``stride`` are as in ``segment.linear``. A pixel counts by the
    share of its class to the power of -``balance``: 0 counts all pixels alike, 1 all classes. A head that was not
    fitted scores all classes alike.
    """

    solves = Segment
    recipe = Recipe(batch=16)

    task: Segment
    weight: Tensor
    bias: Tensor
    seen: Tensor

    def __init__(
        self,
        info: FeatureInfo,
        task: Segment,
        *,
        layers: tuple[int, ...] = (),
        stride: int | None = None,
        rule: Rule = "ridge",
        balance: float = 0.5,
    ) -> None:
        super().__init__(info, task)
        if not 0 <= balance <= 1:
            raise ArgusError(f"balance={balance} is not between 0, all pixels alike, and 1, all classes alike")
        self.needs = Needs(layers=layers or default_layers(info))
        self.taps = Taps(info, self.needs, stride=stride)
        self.rule, self.balance = rule, balance
        self.register_buffer("weight", torch.zeros(len(task.classes), self.taps.channels))
        self.register_buffer("bias", torch.zeros(len(task.classes)))
        self.register_buffer("seen", torch.ones(len(task.classes), dtype=torch.bool))

    def forward(self, features: Features) -> DenseLogits:
        """Logits of every cell."""
        x = self.taps(features).float()
        with full_precision(x.device):
            logits = F.conv2d(x, self.weight[:, :, None, None], self.bias)
        return DenseLogits(logits, self.taps.stride, features.extent)

    def fit(self, batches: Iterable[tuple[Features, Sequence[MaskTarget]]]) -> None:
        """First pass: how often each class occurs. Second pass: moments of cells and of the shares of their classes."""
        pixels = total_over_batches(batches, lambda _, targets: self._counts(targets).sum(dim=(0, 1, 2)))
        if not pixels.any():
            raise ArgusError("no pixel of the training split is labelled; use other images")
        importance = (pixels / pixels.sum()).clamp(min=1e-6) ** -self.balance
        importance = importance / (importance * pixels / pixels.sum()).sum()  # a pixel counts once on average
        moments = total_over_batches(batches, lambda features, targets: self._moments(features, targets, importance))
        weights = class_logits(moments, self.weight.shape[1], self.rule, CELL_PENALTY)
        self.weight.copy_(weights[:-1].T)
        self.bias.copy_(weights[-1])
        self.seen.copy_(pixels > 0)

    def _counts(self, targets: Sequence[MaskTarget]) -> Tensor:
        return cell_counts(torch.stack([target.labels for target in targets]), len(self.bias), self.taps.stride)

    def _moments(self, features: Features, targets: Sequence[MaskTarget], importance: Tensor) -> Moments:
        """Moments of [cell, shares of its classes]; a cell counts by its labelled pixels and their importance."""
        counts = self._counts(targets) * importance.to(self.bias.device)  # (B, h, w, K)
        return share_moments(self.taps(features), counts, self.taps.stride)

    def notes(self) -> list[str]:
        """The classes without labelled pixels."""
        return unseen_classes("pixels", self.task.classes, self.seen)
