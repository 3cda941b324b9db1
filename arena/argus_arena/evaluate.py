"""Score heads on a split: one read of each batch, every image once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch

from argus_arena.world import World
from argus_core.compose import run_head
from argus_core.data import Split
from argus_core.head import Head
from argus_core.source import Item, TokenSource
from argus_core.tasks.base import Metric
from argus_core.tokens import Tokens

Progress = Callable[[int, int], None]


def usable(source: TokenSource) -> list[int]:
    """Images of the split that have tokens."""
    skipped = getattr(source, "skipped", {})
    return [index for index in range(len(source)) if index not in skipped]


def batches(source: TokenSource, world: World, size: int) -> Iterator[tuple[Sequence[Item], Tokens]]:
    """This process's share of the split in batches of at most ``size`` images."""
    items: list[Item] = [(index, "id") for index in usable(source)[world.rank :: world.size]]
    for start in range(0, len(items), size):
        chunk = items[start : start + size]
        yield chunk, source.read(chunk).to(world.device)


@torch.no_grad()
def evaluate(
    heads: Mapping[str, Head],
    source: TokenSource,
    split: Split,
    world: World,
    batch: int,
    progress: Progress | None = None,
) -> dict[str, Metric]:
    """A filled metric per head; under several processes each holds every image."""
    metrics = {name: head.task.metric() for name, head in heads.items()}
    for head in heads.values():
        head.eval()
    done = 0
    for items, tokens in batches(source, world, batch):
        for name, head in heads.items():
            for (index, view), prediction in zip(items, run_head(head, tokens), strict=True):
                placed = head.task.to_image(prediction, source.placement((index, view)))
                metrics[name].update(split.key(index), placed, split.truth(index, head.task.name))
        done += len(items)
        if progress:
            progress(done * world.size, len(source))
    for metric in metrics.values():
        metric.merge(world.gather(metric.state()))
    return metrics
