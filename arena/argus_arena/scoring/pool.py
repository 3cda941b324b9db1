"""Images that wait until there are enough of them to run a head on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import torch

from argus_arena.scoring.rules import Scoring, run_passes
from argus_core.head import Head
from argus_core.tasks import Metric
from argus_core.tokens import Item, Tokens

MANY = 2048
"""Passes over images that a head of vectors is run on at once."""
HELD = 64 << 20
"""Bytes of vectors that wait, at most and but for one batch."""


class Pool:
    """Scores the heads that read vectors alone on many images at once, whatever the batch that tokens come in.

    A search among all training images, as ``classify.knn`` is, reads all of them at every call. Heads that read maps,
    or whose samples are several images, are left to the others: ``heads`` are those it scores.
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
        self._numbers = {members[0]: number for number, members in pairs if len(members) == 1}
        single = len(self._numbers) == len(pairs)
        self.heads = {name: head for name, head in heads.items() if single and not head.needs.maps}
        self._clear()

    def add(self, items: Sequence[Item], tokens: Tokens) -> None:
        """Keep the vectors of some passes."""
        if not self.heads:
            return
        vectors = {layer: prefix[:, :1].clone() for layer, prefix in tokens.prefix.items()}
        held, parts = self._held.setdefault(tokens.size, ([], []))
        held.extend(items)
        parts.append(replace(tokens, maps={}, prefix=vectors, extent=tokens.extent.clone()))
        self._passes += len(items)
        self._bytes += sum(one.nbytes for one in vectors.values())

    def score_many(self) -> None:
        """``score`` if enough is held for it; to be called when all passes over an image are there."""
        if self._passes >= MANY or self._bytes >= HELD:
            self.score()

    def score(self) -> None:
        """Run the heads on what is held, and hand their predictions to the metrics."""
        batches = [(items, _joined(parts)) for items, parts in self._held.values()]
        self._clear()
        for index, predictions in sorted(run_passes(self.heads, batches, self.scoring).items()):
            number = self._numbers[index]
            key = self.scoring.key(number, (index,))
            for name, prediction in predictions.items():
                truth = self.scoring.split.truth(number, self.heads[name].task.name)
                self.metrics[name].update(key, prediction, truth)

    def _clear(self) -> None:
        self._held: dict[tuple[int, int], tuple[list[Item], list[Tokens]]] = {}
        self._passes = self._bytes = 0


def _joined(parts: Sequence[Tokens]) -> Tokens:
    """Vectors of several batches, of one canvas size, as one batch."""
    prefix = {layer: torch.cat([part.prefix[layer] for part in parts]) for layer in parts[0].prefix}
    return replace(parts[0], prefix=prefix, extent=torch.cat([part.extent for part in parts]))
