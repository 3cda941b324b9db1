"""Prototypes with a threshold per class, below which they score nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from argus_core.detection import CosineClassifier, covers, grid_points
from argus_core.nn import total_over_batches
from argus_core.tasks.detect import BoxTarget
from argus_core.tokens import Features
from argus_heads.experimental.prototype import Batches, Prototype

TAIL = 1e-3
"""Share of the background above a class's threshold when training starts."""

CLOSED = math.log(1e-9)
"""Added to the logit of a closed gate: practically a score of 0, but finite."""

BINS = 40_000
"""Bins of the histogram of cosines: thresholds are exact to 5e-5."""


class GatedClassifier(CosineClassifier):
    """The logit of a cosine s is ``scale * (s - threshold) + bias`` from the threshold of its class on.

    A threshold unit (Muroga 1971) that rejects what resembles no class (Bendale & Boult 2016). In training the gate
    is soft: the log of the sigmoid of (s - threshold) / temperature is added, so that both sides get gradients.
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
        """The log of the gate's opening at cosines ``margin`` above the threshold."""
        if self.training:
            return F.logsigmoid(margin / self.log_temperature.exp())
        return torch.where(margin >= 0, 0.0, CLOSED)


class ThresholdPrototype(Prototype):
    """``Prototype`` with a learned threshold per class, below which nothing is detected.

    A class that is added later gets the mean of the other thresholds.
    """

    cosine = GatedClassifier

    @property
    def fitted(self) -> bool:
        """Always: the thresholds start from the training split."""
        return True

    @torch.no_grad()
    def fit(self, batches: Batches) -> None:
        """The prototypes, unless they are text, and thresholds that exceed all but 1e-3 of the background."""
        if self.from_images:
            super().fit(batches)
        counts = total_over_batches(batches, self._histogram)
        assert isinstance(self.classifier, GatedClassifier)
        self.classifier.threshold.copy_(upper_quantile(counts, TAIL))

    def _histogram(self, features: Features, targets: Sequence[BoxTarget]) -> Tensor:
        """(K, BINS) counts of the cosines of a batch's background, over -1..1."""
        counts = torch.zeros(len(self.classes), BINS, dtype=torch.long)
        for cosines in self._background(features, targets):
            index = ((cosines.cpu() + 1) * (BINS / 2)).long().clamp(0, BINS - 1)
            counts.scatter_add_(1, index, torch.ones_like(index))
        return counts

    def _background(self, features: Features, targets: Sequence[BoxTarget]) -> list[Tensor]:
        """Per image the (K, N) cosines at all locations outside every box."""
        levels = self.pyramid(self.stem(self.taps(features)))
        points = grid_points([(x.shape[2], x.shape[3]) for x in levels], self.strides, features.map.device)
        flat = [self.towers.cls_tower(x).float().flatten(2) for x in levels]
        cosines = self.classifier.cosines(torch.cat(flat, dim=2))  # (B, K, N)
        inside = [covers(target.boxes, points.xy).any(dim=0) for target in targets]
        background = points.within(features.extent) & ~torch.stack(inside)
        return [image_cosines[:, mask] for image_cosines, mask in zip(cosines, background, strict=True)]


def upper_quantile(counts: Tensor, tail: float) -> Tensor:
    """(K,) lowest bin edges over -1..1 that at most a share ``tail`` of the (K, bins) counts reaches."""
    reaching = counts.flip(1).cumsum(dim=1).flip(1)  # at or beyond the lower edge of each bin
    edge = (reaching > tail * counts.sum(dim=1, keepdim=True)).sum(dim=1)
    return edge * (2 / counts.shape[1]) - 1
