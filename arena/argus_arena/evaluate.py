"""Score heads on a split: one read of each batch, every image once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch

from argus_arena.data import task_for
from argus_arena.world import World
from argus_core.compose import run_head
from argus_core.data import Split
from argus_core.errors import ArgusError
from argus_core.head import Head
from argus_core.options import check_options, options_model
from argus_core.source import Item, TokenSource
from argus_core.tasks.base import Metric, Task
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


def check_task(head: Head, split: Split) -> None:
    """Raise ArgusError unless the split is annotated for the head's task, with the same numbers (such as classes)."""
    task = task_for(split, head.task.name)
    if task != head.task:
        raise ArgusError(f"head {head.name!r} was made for {head.task!r}, split {split.name!r} has {task!r}")


def make_metric(task: Task, options: Mapping[str, Any]) -> Metric:
    """A fresh metric of a task, its options checked."""
    return task.metric(**check_options(options_model(task.metric), options, f"the metric of {task.name}"))


@torch.no_grad()
def evaluate(
    heads: Mapping[str, Head],
    source: TokenSource,
    split: Split,
    world: World,
    batch: int,
    options: Mapping[str, Any],
    progress: Progress,
) -> dict[str, Metric]:
    """A filled metric per head, made with ``options``; under several processes each holds every image."""
    metrics = {name: make_metric(head.task, options) for name, head in heads.items()}
    for head in heads.values():
        check_task(head, split)
        head.eval()
    done = 0
    for items, tokens in batches(source, world, batch):
        for name, head in heads.items():
            for (index, view), prediction in zip(items, run_head(head, tokens), strict=True):
                placed = head.task.to_image(prediction, source.placement((index, view)))
                metrics[name].update(split.key(index), placed, split.truth(index, head.task.name))
        done += len(items)
        progress(min(done * world.size, len(source)), len(source))
    for metric in metrics.values():
        metric.merge(world.gather(metric.state()))
    return metrics
