"""Images that are collected until there are enough of them to run a head on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import torch

from argus_arena.scoring.rules import ImageTokens, Scoring
from argus_core.data.split import read_truth
from argus_core.head import Head
from argus_core.model.composition import run_passes
from argus_core.tasks import Metric
from argus_core.tokens import PlacedTokens

MAX_PASSES = 2048
"""Passes over images that a head of vectors is run on at once."""
MAX_BYTES = 64 << 20
"""Bytes of vectors that are collected, exceeded by one batch at most."""


class Pool:
    """Scores heads that read only vectors on many images at once, whatever the batch size of the tokens.

    A search among all training images, such as ``classify.knn``, reads all of them at every call. ``heads`` are those
    that are scored here: not heads that read maps, or whose samples are several images.
    """

    def __init__(
        self,
        heads: Mapping[str, Head],
        scoring: Scoring,
        metrics: Mapping[str, Metric],
        samples: Iterable[tuple[int, Sequence[int]]],
    ) -> None:
        self.scoring, self.metrics = scoring, metrics
        pairs = list(samples)
        self._numbers = {images[0]: number for number, images in pairs if len(images) == 1}
        single = len(self._numbers) == len(pairs)
        self.heads = {name: head for name, head in heads.items() if single and not head.needs.maps}
        self._clear()

    def add(self, images: Sequence[int], placed: PlacedTokens) -> None:
        """Keep the vectors of passes over some images."""
        if not self.heads:
            return
        tokens, placements = placed
        vectors = {layer: prefix[:, :1].clone() for layer, prefix in tokens.prefix.items()}
        kept = replace(tokens, maps={}, prefix=vectors, extent=tokens.extent.clone())
        self._batches.setdefault(tokens.size, []).append((list(images), PlacedTokens(kept, placements)))
        self._passes += len(images)
        self._bytes += sum(vector.nbytes for vector in vectors.values())

    def score_many(self) -> None:
        """``score`` if there are enough passes; to be called when all passes over an image were added."""
        if self._passes >= MAX_PASSES or self._bytes >= MAX_BYTES:
            self.score()

    def score(self) -> None:
        """Run the heads on the collected images, and give their predictions to the metrics."""
        batches = [_joined(parts) for parts in self._batches.values()]
        self._clear()
        for index, predictions in sorted(run_passes(self.heads, batches).items()):
            number = self._numbers[index]
            key = self.scoring.key(number, (index,))
            for name, prediction in predictions.items():
                truth = read_truth(self.scoring.split, number, self.heads[name].task.name)
                self.metrics[name].update(key, prediction, truth)

    def _clear(self) -> None:
        self._batches: dict[tuple[int, int], list[ImageTokens]] = {}
        self._passes = self._bytes = 0


def _joined(batches: Sequence[ImageTokens]) -> ImageTokens:
    """Vectors of several batches, of one canvas size, as one batch."""
    tokens = [placed.tokens for _, placed in batches]
    prefix = {layer: torch.cat([part.prefix[layer] for part in tokens]) for layer in tokens[0].prefix}
    joined = replace(tokens[0], prefix=prefix, extent=torch.cat([part.extent for part in tokens]))
    placements = [place for _, placed in batches for place in placed.placements]
    return [index for indices, _ in batches for index in indices], PlacedTokens(joined, placements)
