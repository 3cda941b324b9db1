"""Score heads on a split: one read of each batch for all tasks that look at the same samples, every sample once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from itertools import islice
from typing import Any

import torch

from argus_arena.scoring import Scoring, check_scoring
from argus_arena.world import World
from argus_core.compose import run_head
from argus_core.head import Head
from argus_core.tasks.base import Metric

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
    heads: Mapping[str, Head], scoring: Scoring, world: World, batch: int, progress: Progress
) -> dict[str, Metric]:
    """A filled metric per head; under several processes each holds every sample."""
    check_scoring(heads, scoring)
    metrics = {name: scoring.metric(head.task) for name, head in heads.items()}
    for head in heads.values():
        head.eval()
    for samples, names in _groups(heads, scoring).items():
        own = samples[world.rank :: world.size]
        predict = Predictor({name: heads[name] for name in names}, scoring, world, batch)
        for start in range(0, len(own), batch):
            _score(own[start : start + batch], predict, metrics)
            predict.forget_all_but(index for _, members in own[start + batch :] for index in members)
            progress(min((start + batch) * world.size, len(samples)), len(samples))
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


class Predictor:
    """Every head's predictions for images, in image pixels; those of images that are needed again are kept."""

    def __init__(self, heads: Mapping[str, Head], scoring: Scoring, world: World, batch: int) -> None:
        self.heads, self.scoring, self.world, self.batch = heads, scoring, world, batch
        self._held: dict[int, dict[str, Any]] = {}

    def __call__(self, images: Sequence[int]) -> Mapping[int, Mapping[str, Any]]:
        """By image, by head: the prediction, its passes merged."""
        missing = [index for index in images if index not in self._held]
        self._held |= self._predict(missing)
        return self._held

    def forget_all_but(self, images: Iterable[int]) -> None:
        """Keep the predictions of at most ``KEPT`` of these images, the first ones."""
        wanted = islice((index for index in dict.fromkeys(images) if index in self._held), KEPT)
        self._held = {index: self._held[index] for index in wanted}

    def _predict(self, images: Sequence[int]) -> dict[int, dict[str, Any]]:
        parts: dict[int, dict[str, list[Any]]] = {index: {name: [] for name in self.heads} for index in images}
        places = {index: [self.scoring.source.placement(one) for one in self.scoring.passes(index)] for index in images}
        for items, tokens in self.scoring.batches(images, self.batch):
            there = tokens.to(self.world.device)
            for name, head in self.heads.items():
                for (index, _), prediction in zip(items, run_head(head, there), strict=True):
                    parts[index][name].append(prediction)
        return {
            index: {name: self.heads[name].task.merge(found, places[index]) for name, found in by_head.items()}
            for index, by_head in parts.items()
        }
