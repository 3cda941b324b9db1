"""Score heads on a split: one read of each batch for all tasks that look at the same samples, every sample once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Sized
from typing import Any

import torch

from argus_arena.scoring import Scoring, check_scoring
from argus_arena.world import World
from argus_core.compose import run_head
from argus_core.head import Head
from argus_core.tasks.base import Metric

Progress = Callable[[int, int], None]
Samples = tuple[tuple[int, tuple[int, ...]], ...]


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
        for start in range(0, len(own), batch):
            chunk = own[start : start + batch]
            _score(chunk, {name: heads[name] for name in names}, metrics, scoring, world, batch)
            progress(min((start + len(chunk)) * world.size, len(samples)), len(samples))
    for metric in metrics.values():
        metric.merge(world.gather(metric.state()))
    return metrics


def _groups(heads: Mapping[str, Head], scoring: Scoring) -> dict[Samples, list[str]]:
    """The heads by the samples they are scored on: tasks of single images share theirs."""
    groups: dict[Samples, list[str]] = {}
    for name, head in heads.items():
        groups.setdefault(tuple(scoring.samples(head.task.name)), []).append(name)
    return groups


def _score(
    chunk: Samples, heads: Mapping[str, Head], metrics: Mapping[str, Metric], scoring: Scoring, world: World, batch: int
) -> None:
    """Predict on the images of some samples, each image once, and hand the samples to the metrics."""
    images = list(dict.fromkeys(index for _, members in chunk for index in members))
    predictions = _predict(images, heads, scoring, world, batch)
    for number, members in chunk:
        key = scoring.key(number, members)
        for name, head in heads.items():
            found = [predictions[name][index] for index in members]
            truth = scoring.split.truth(number, head.task.name)
            metrics[name].update(key, found[0] if len(found) == 1 else tuple(found), truth)


def _predict(
    images: Sequence[int], heads: Mapping[str, Head], scoring: Scoring, world: World, batch: int
) -> dict[str, dict[int, Any]]:
    """Every head's prediction for each image, in image pixels, its passes merged."""
    parts: dict[str, dict[int, list[Any]]] = {name: {index: [] for index in images} for name in heads}
    places = {index: [scoring.source.placement(item) for item in scoring.passes(index)] for index in images}
    for items, tokens in scoring.batches(images, batch):
        there = tokens.to(world.device)
        for name, head in heads.items():
            for (index, _), prediction in zip(items, run_head(head, there), strict=True):
                parts[name][index].append(prediction)
    return {
        name: {index: heads[name].task.merge(found, places[index]) for index, found in by_image.items()}
        for name, by_image in parts.items()
    }
