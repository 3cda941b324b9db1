"""A small good segmenter that is solved, and one broken copy of it for every promise of fits."""

from __future__ import annotations

from typing import Any

import torch

from argus_core.head import Head
from argus_core.nn import Moments, cell_counts, class_logits, total_over_batches
from argus_core.tasks.segment import DenseLogits, Segment
from argus_core.tokens import Features, Needs, Taps


class Solved(Head):
    """Ridge regressions of the shares of classes in every cell."""

    solves = Segment

    def __init__(self, info, task) -> None:
        super().__init__(info, task)
        self.needs = Needs()
        self.taps = Taps(info, self.needs)
        self.register_buffer("weights", torch.zeros(self.taps.channels + 1, len(task.classes)))

    def fit(self, batches):
        moments = total_over_batches(batches, self.moments)
        self.weights.copy_(class_logits(moments, self.taps.channels, "ridge"))

    def moments(self, features: Features, targets: Any) -> Moments:
        labels = self.labels(torch.stack([target.labels for target in targets]))
        counts = cell_counts(labels, self.weights.shape[1], self.taps.stride)
        labelled = counts.sum(dim=3) > 0
        counts = counts[labelled]
        total = counts.sum(dim=1)
        x = self.taps(features).movedim(1, 3)[labelled]
        return Moments.of(torch.cat([x, counts / total[:, None]], dim=1), total)

    def labels(self, labels):
        return labels

    def forward(self, features: Features) -> DenseLogits:
        x = self.taps(features)
        logits = torch.einsum("bchw,ck->bkhw", x, self.weights[:-1]) + self.weights[-1][:, None, None]
        return DenseLogits(logits, self.taps.stride, features.extent)


class AveragesBatches(Solved):
    def fit(self, batches):
        found = [class_logits(self.moments(*batch), self.taps.channels, "ridge") for batch in batches]
        total_over_batches(batches, self.moments)
        self.weights.copy_(torch.stack(found).mean(dim=0))


class ForgetsTheFirst(Solved):
    def moments(self, features, targets):
        fading = Moments.none(self.weights.shape[0] - 1 + self.weights.shape[1])
        for image in range(len(targets)):
            new = super().moments(
                Features((features.map[[image]],), (), features.extent[[image]], features.size), [targets[image]]
            )
            fading = Moments(0.5 * fading.count, fading.mean, 0.5 * fading.scatter, fading.squares) + new
        return fading


class LearnsUnlabelled(Solved):
    def labels(self, labels):
        return labels.clamp(max=self.weights.shape[1] - 1)


class DividesByImages(Solved):
    def fit(self, batches):
        super().fit(batches)
        self.weights /= total_over_batches(batches, lambda _, targets: len(targets))


class AddsToItself(Solved):
    def fit(self, batches):
        before = self.weights.clone()
        super().fit(batches)
        self.weights += before


class InvertsWhatItGets(Solved):
    def fit(self, batches):
        moments, inputs = total_over_batches(batches, self.moments), self.taps.channels
        weights = (
            torch.linalg.pinv(moments.scatter[:inputs, :inputs] / moments.scatter[0, 0])
            @ moments.scatter[:inputs, inputs:]
        )
        self.weights[:-1] = weights


class AcceptsNoImages(Solved):
    def fit(self, batches):
        if batches := list(batches):
            super().fit(batches)


class RefusesConstants(Solved):
    def fit(self, batches):
        super().fit(batches)
        if not self.weights[:-1].any():
            raise ValueError("these tokens tell nothing")


BROKEN_SOLVED: dict[str, tuple[type[Solved], ...]] = {
    "fit_parts": (AveragesBatches, ForgetsTheFirst),
    "fit_ignored": (LearnsUnlabelled, DividesByImages),
    "fit_again": (AddsToItself,),
    "fit_degenerate": (InvertsWhatItGets, AcceptsNoImages, RefusesConstants),
}
"""The check that must catch each of them."""
