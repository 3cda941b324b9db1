"""Score heads on a split: one read of each batch for all tasks that look at the same samples, every sample once."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from typing import Any

import torch

from argus_arena.distributed import Distributed
from argus_arena.scoring.pool import Pool
from argus_arena.scoring.rules import Scoring, check_scoring, run_passes
from argus_core.head import Head
from argus_core.tasks import Metric
from argus_core.tokens import Item, Tokens

Progress = Callable[[int, int], None]
Samples = tuple[tuple[int, tuple[int, ...]], ...]
KEPT = 256
"""Images whose predictions are kept for later samples, as images of many pairs are."""


def usable(source: Sized) -> list[int]:
    """Images of the split that have tokens."""
    skipped = getattr(source, "skipped", {})
    return [index for index in range(len(source)) if index not in skipped]


@torch.no_grad()
def evaluate(
    heads: Mapping[str, Head], scoring: Scoring, world: Distributed, batch: int, progress: Progress
) -> dict[str, Metric]:
    """A filled metric per head; under several processes each holds every sample."""
    check_scoring(heads, scoring)
    metrics = {name: scoring.metric(head.task) for name, head in heads.items()}
    for head in heads.values():
        head.eval()
    for samples, names in _groups(heads, scoring).items():
        own = samples[world.rank :: world.size]
        pool = Pool({name: heads[name] for name in names}, scoring, metrics, own)
        predict = Predictor(
            {name: heads[name] for name in names if name not in pool.heads}, scoring, world, batch, pool
        )
        needed = uses(own)
        for start in range(0, len(own), batch):
            _score(own[start : start + batch], predict, metrics)
            predict.forget(needed, start + batch)
            pool.score_many()
            progress(min((start + batch) * world.size, len(samples)), len(samples))
        pool.score()
    for metric in metrics.values():
        metric.merge(world.gather(metric.state()))
    return metrics


def _groups(heads: Mapping[str, Head], scoring: Scoring) -> dict[Samples, list[str]]:
    """The heads by the samples they are scored on: tasks of single images share theirs."""
    groups: dict[Samples, list[str]] = {}
    for name, head in heads.items():
        groups.setdefault(tuple(scoring.samples(head.task.name)), []).append(name)
    return groups


def _score(chunk: Samples, predict: Predictor, metrics: Mapping[str, Metric]) -> None:
    """Hand some samples to the metrics, each image of theirs looked at once."""
    predictions = predict(list(dict.fromkeys(index for _, members in chunk for index in members)))
    for number, members in chunk:
        key = predict.scoring.key(number, members)
        for name, head in predict.heads.items():
            found = [predictions[index][name] for index in members]
            truth = predict.scoring.split.truth(number, head.task.name)
            metrics[name].update(key, found[0] if len(found) == 1 else tuple(found), truth)


def uses(samples: Samples) -> dict[int, list[int]]:
    """By image: the places in ``samples`` of those that it is part of, ascending."""
    found: dict[int, list[int]] = defaultdict(list)
    for place, (_, members) in enumerate(samples):
        for index in members:
            found[index].append(place)
    return found


class Predictor:
    """Heads' predictions for images, in image pixels; those of images that are needed again are kept.

    The tokens it reads go to the ``pool`` too, if there is one, whose heads are run later.
    """

    def __init__(
        self, heads: Mapping[str, Head], scoring: Scoring, world: Distributed, batch: int, pool: Pool | None = None
    ) -> None:
        self.heads, self.scoring, self.world, self.batch, self.pool = heads, scoring, world, batch, pool
        self._held: dict[int, dict[str, Any]] = {}

    def __call__(self, images: Sequence[int]) -> Mapping[int, Mapping[str, Any]]:
        """By image, by head: the prediction, its passes merged."""
        missing = [index for index in images if index not in self._held]
        self._held |= run_passes(self.heads, self._tokens(missing), self.scoring)
        return self._held

    def forget(self, needed: Mapping[int, Sequence[int]], place: int) -> None:
        """Keep the predictions of at most ``KEPT`` images, those that samples from ``place`` on need the soonest."""
        coming = []
        for index in self._held:
            places = needed[index]
            if (found := bisect_left(places, place)) < len(places):
                coming.append((places[found], index))
        self._held = {index: self._held[index] for _, index in sorted(coming)[:KEPT]}

    def _tokens(self, images: Sequence[int]) -> Iterator[tuple[list[Item], Tokens]]:
        for items, tokens in self.scoring.batches(images, self.batch):
            there = tokens.to(self.world.device)
            if self.pool is not None:
                self.pool.add(items, there)
            yield items, there
