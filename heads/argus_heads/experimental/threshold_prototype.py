"""Threshold prototype: prototypes that speak only where they are similar enough, a threshold per class."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from argus_core.detection import CosineClassifier, covers, grid_points
from argus_core.tasks.detect import BoxTarget
from argus_core.tokens import Features
from argus_heads.experimental.prototype import Batches, Prototype

TAIL = 1e-3
"""Share of the background that passes a class's threshold when training starts."""

CLOSED = math.log(1e-9)
"""Added to the logit behind a closed gate: a score of nothing that is still a number."""

BINS = 40_000
"""Of the histogram of cosines: thresholds are exact to 5e-5."""


class GatedClassifier(CosineClassifier):
    """A cosine s counts as ``scale * (s - threshold) + bias``, and only from its class's threshold on.

    A threshold unit (Muroga 1971) that rejects what is like no class (Bendale & Boult 2016). In training the gate
    is the sigmoid of (s - threshold) / temperature, whose log is added, so that gradients reach both sides.
    """

    def __init__(self, width: int, vectors: Tensor) -> None:
        super().__init__(width, vectors)
        self.threshold = nn.Parameter(torch.zeros(len(vectors)))
        self.log_temperature = nn.Parameter(torch.tensor(math.log(0.1)))

    def logits(self, cosines: Tensor) -> Tensor:
        """(B, K, N) cosines to logits, through the soft gate in training and the hard one otherwise."""
        margin = cosines - self.threshold[:, None]
        return self.scale * margin + self.cls_bias[:, None] + self.log_gate(margin)

    def log_gate(self, margin: Tensor) -> Tensor:
        """The log of how far the gate is open at cosines ``margin`` above the threshold."""
        if self.training:
            return F.logsigmoid(margin / self.log_temperature.exp())
        return torch.where(margin >= 0, 0.0, CLOSED)


class ThresholdPrototype(Prototype):
    """``Prototype`` with a learned threshold per class, below which nothing is found.

    A class that is added later takes the mean of the other thresholds.
    """

    cosine = GatedClassifier

    @property
    def fitted(self) -> bool:
        """Always: the thresholds start from the training split."""
        return True

    @torch.no_grad()
    def fit(self, batches: Batches) -> None:
        """The prototypes, unless they are text; then thresholds that all but 1e-3 of the background stays below."""
        if self.from_images:
            super().fit(batches)
        counts = torch.zeros(len(self.classes), BINS, dtype=torch.long)
        for features, targets in batches:
            for cosines in self._background(features, targets):
                counts += _histogram(cosines)
        assert isinstance(self.classifier, GatedClassifier)
        self.classifier.threshold.copy_(upper_quantile(counts, TAIL))

    def _background(self, features: Features, targets: Sequence[BoxTarget]) -> list[Tensor]:
        """Per image the (K, N) cosines at all locations of the image that are outside every box."""
        levels = self.pyramid(self.stem(self.taps(features)))
        points = grid_points([(x.shape[2], x.shape[3]) for x in levels], self.strides, features.map.device)
        flat = [self.towers.cls_tower(x).float().flatten(2) for x in levels]
        cosines = self.classifier.cosines(torch.cat(flat, dim=2))  # (B, K, N)
        inside = [covers(target.boxes, points.xy).any(dim=0) for target in targets]
        seen = points.within(features.extent)
        return [one[:, s & ~i] for one, s, i in zip(cosines, seen, inside, strict=True)]


def _histogram(cosines: Tensor) -> Tensor:
    """(K, BINS) counts of (K, N) cosines over -1..1."""
    index = ((cosines.cpu() + 1) * (BINS / 2)).long().clamp(0, BINS - 1)
    return torch.zeros(len(index), BINS, dtype=torch.long).scatter_add_(1, index, torch.ones_like(index))


def upper_quantile(counts: Tensor, tail: float) -> Tensor:
    """(K,) least edges of the (K, bins) counts over -1..1 which at most a share ``tail`` of them reaches."""
    reaching = counts.flip(1).cumsum(dim=1).flip(1)  # at or beyond the lower edge of each bin
    edge = (reaching > tail * counts.sum(dim=1, keepdim=True)).sum(dim=1)
    return edge * (2 / counts.shape[1]) - 1
