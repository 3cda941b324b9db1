"""Score heads on a split: one read of each batch for all tasks that share their samples, every sample once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch

from argus_arena.distributed import Distributed
from argus_arena.scoring.chunks import Chunk, Samples, chunks
from argus_arena.scoring.pool import Pool
from argus_arena.scoring.rules import ImageTokens, Scoring, Source, check_scoring
from argus_core.cache.ahead import Ahead, reads_ahead
from argus_core.data.split import read_truth
from argus_core.head import Head
from argus_core.model.composition import run_passes
from argus_core.tasks import Metric
from argus_core.tokens import TokenSource

Progress = Callable[[int, int], None]


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
    for samples, names in by_samples(heads, scoring).items():
        own = samples[process.rank :: process.size]
        pool = Pool({name: heads[name] for name in names}, scoring, metrics, own)
        others = {name: heads[name] for name in names if name not in pool.heads}
        done, predictions = 0, dict[int, dict[str, Any]]()
        with _reading(own, scoring, batch) as reading:
            for chunk, batches in reading:
                predictions |= run_passes(others, _passes(batches, process.device, pool))
                _score(chunk.samples, predictions, others, scoring, metrics)
                predictions = {index: predictions[index] for index in chunk.kept}
                pool.score_many()
                done += len(chunk.samples)
                progress(min(done * process.size, len(samples)), len(samples))
        pool.score()
    for metric in metrics.values():
        metric.merge(process.gather(metric.state()))
    return metrics


def by_samples(heads: Mapping[str, Head], scoring: Scoring) -> dict[Samples, list[str]]:
    """The heads by the samples they are scored on: tasks of single images share theirs."""
    groups: dict[Samples, list[str]] = {}
    for name, head in heads.items():
        groups.setdefault(tuple(scoring.samples(head.task.name)), []).append(name)
    return groups


def _reading(samples: Samples, scoring: Scoring, batch: int) -> Ahead[tuple[Chunk, Iterable[ImageTokens]]]:
    """The samples by chunks, each with the passes over the images that were not kept from earlier ones.

    Where a thread may read, it reads the passes of the next chunk; else every batch is read when it is asked for.
    """
    ahead = reads_ahead(scoring.source)
    parts = ((chunk, scoring.batches(chunk.missing, batch)) for chunk in chunks(samples, batch))
    return Ahead(((chunk, list(batches) if ahead else batches) for chunk, batches in parts), thread=ahead)


def _passes(batches: Iterable[ImageTokens], device: torch.device, pool: Pool) -> Iterator[ImageTokens]:
    """Batches on ``device``, whose vectors the pool keeps."""
    for indices, placed in batches:
        on_device = placed.to(device)
        pool.add(indices, on_device)
        yield indices, on_device


def _score(
    samples: Samples,
    predictions: Mapping[int, Mapping[str, Any]],
    heads: Mapping[str, Head],
    scoring: Scoring,
    metrics: Mapping[str, Metric],
) -> None:
    """Give the predictions for some samples, by image and head, to the heads' metrics."""
    for number, images in samples:
        key = scoring.key(number, images)
        for name, head in heads.items():
            sample = tuple(predictions[index][name] for index in images)
            truth = read_truth(scoring.split, number, head.task.name)
            metrics[name].update(key, sample[0] if len(sample) == 1 else sample, truth)
