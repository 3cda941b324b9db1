"""Score heads on a split: one read of each batch for all tasks that share their samples, every sample once."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch

from argus_arena.distributed import Distributed
from argus_arena.scoring.pool import Pool
from argus_arena.scoring.rules import ImageTokens, Scoring, Source, check_scoring
from argus_core.head import Head
from argus_core.model.composition import run_passes
from argus_core.tasks import Metric
from argus_core.tokens import TokenSource

Progress = Callable[[int, int], None]
Samples = tuple[tuple[int, tuple[int, ...]], ...]
KEPT = 256
"""Images whose predictions are kept for later samples, as images of many pairs are."""


def usable(source: TokenSource | Source) -> list[int]:
    """Images of the split that have tokens."""
    return [index for index in range(len(source)) if index not in source.skipped]


@torch.no_grad()
def evaluate(
    heads: Mapping[str, Head], scoring: Scoring, process: Distributed, batch: int, progress: Progress
) -> dict[str, Metric]:
    """A filled metric per head; under several processes each holds every sample."""
    check_scoring(heads, scoring)
    metrics = {name: scoring.metric(head.task) for name, head in heads.items()}
    for head in heads.values():
        head.eval()
    for samples, names in _groups(heads, scoring).items():
        own = samples[process.rank :: process.size]
        pool = Pool({name: heads[name] for name in names}, scoring, metrics, own)
        others = {name: heads[name] for name in names if name not in pool.heads}
        predictor = Predictor(others, scoring, process, batch, pool)
        places = sample_places(own)
        for start in range(0, len(own), batch):
            _score(own[start : start + batch], predictor, metrics)
            predictor.forget(places, start + batch)
            pool.score_many()
            progress(min((start + batch) * process.size, len(samples)), len(samples))
        pool.score()
    for metric in metrics.values():
        metric.merge(process.gather(metric.state()))
    return metrics


def _groups(heads: Mapping[str, Head], scoring: Scoring) -> dict[Samples, list[str]]:
    """The heads by the samples they are scored on: tasks of single images share theirs."""
    groups: dict[Samples, list[str]] = {}
    for name, head in heads.items():
        groups.setdefault(tuple(scoring.samples(head.task.name)), []).append(name)
    return groups


def _score(samples: Samples, predictor: Predictor, metrics: Mapping[str, Metric]) -> None:
    """Give the predictions for some samples to the metrics; each of their images is read once."""
    predictions = predictor(list(dict.fromkeys(index for _, images in samples for index in images)))
    for number, images in samples:
        key = predictor.scoring.key(number, images)
        for name, head in predictor.heads.items():
            sample = tuple(predictions[index][name] for index in images)
            truth = predictor.scoring.split.truth(number, head.task.name)
            metrics[name].update(key, sample[0] if len(sample) == 1 else sample, truth)


def sample_places(samples: Samples) -> dict[int, list[int]]:
    """By image: the places in ``samples`` of those that it is part of, ascending."""
    places: dict[int, list[int]] = defaultdict(list)
    for place, (_, images) in enumerate(samples):
        for index in images:
            places[index].append(place)
    return places


class Predictor:
    """Heads' predictions for images, in image pixels; those of images that are needed again are kept.

    The tokens it reads go to the ``pool`` too, if there is one, whose heads are run later.
    """

    def __init__(
        self, heads: Mapping[str, Head], scoring: Scoring, process: Distributed, batch: int, pool: Pool | None = None
    ) -> None:
        self.heads, self.scoring, self.process, self.batch, self.pool = heads, scoring, process, batch, pool
        self._predictions: dict[int, dict[str, Any]] = {}

    def __call__(self, images: Sequence[int]) -> Mapping[int, Mapping[str, Any]]:
        """By image, by head: the prediction, its passes merged."""
        missing = [index for index in images if index not in self._predictions]
        self._predictions |= run_passes(self.heads, self._passes(missing))
        return self._predictions

    def forget(self, places: Mapping[int, Sequence[int]], place: int) -> None:
        """Keep the predictions of at most ``KEPT`` images, those that samples from ``place`` on need the soonest.

        ``places`` are those of the samples of each image, see ``sample_places``.
        """
        needed = []
        for index in self._predictions:
            coming = bisect_left(places[index], place)
            if coming < len(places[index]):
                needed.append((places[index][coming], index))
        self._predictions = {index: self._predictions[index] for _, index in sorted(needed)[:KEPT]}

    def _passes(self, images: Sequence[int]) -> Iterator[ImageTokens]:
        for indices, placed in self.scoring.batches(images, self.batch):
            on_device = placed.to(self.process.device)
            if self.pool is not None:
                self.pool.add(indices, on_device)
            yield indices, on_device
