"""The batches of a run: tokens and the targets of every task, step by step, on the run's device."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch.utils.data import DataLoader, Dataset

from argus_arena.setting import Setting
from argus_arena.world import World
from argus_core.head import Head
from argus_core.tasks.base import Task
from argus_core.tokens import Features, Tokens

Batch = tuple[Tokens, dict[str, list[Any]]]


class Steps(Dataset[Batch]):
    """The batch of each training step: this process's share of the tokens, and the targets of every task."""

    def __init__(self, setting: Setting, tasks: Mapping[str, Task], world: World) -> None:
        self.setting, self.tasks, self.world = setting, tasks, world

    def __getitem__(self, step: int) -> Batch:
        items = self.setting.order.items(step)[self.world.rank :: self.world.size]
        source, split = self.setting.train_source, self.setting.train_split
        tokens = source.read(items)  # first, so that a live source knows the images' sizes
        places = [source.placement(item) for item in items]
        targets = {
            name: [
                task.target(split.truth(index, name), place) for (index, _), place in zip(items, places, strict=True)
            ]
            for name, task in self.tasks.items()
        }
        return tokens, targets


class FitBatches:
    """Features and targets of the training split for a head that is fitted: every image once, as it is, in order."""

    def __init__(self, setting: Setting, head: Head, batch: int, world: World) -> None:
        self.setting, self.head, self.batch, self.world = setting, head, batch, world

    def __iter__(self) -> Iterator[tuple[Features, list[Any]]]:
        images, source = self.setting.order.images, self.setting.train_source
        split, task = self.setting.train_split, self.head.task
        for start in range(0, len(images), self.batch):
            items = [(index, "id") for index in images[start : start + self.batch]]
            tokens = source.read(items).to(self.world.device)
            targets = [
                task.target(split.truth(index, task.name), source.placement((index, "id"))) for index, _ in items
            ]
            yield tokens.features(self.head.needs), [target.to(self.world.device) for target in targets]


def feed(setting: Setting, world: World, start: int, total: int) -> Iterator[Batch]:
    """The batches of steps ``start`` to ``total``; a batch may be overwritten once the next one is asked for."""
    tasks = {head.task.name: head.task for head in setting.heads.values() if head.trained}
    # The samples are whole batches already, made by step, so that any step can be the first.
    loader: DataLoader[Batch] = DataLoader(
        Steps(setting, tasks, world),
        batch_size=None,
        sampler=range(start, total),
        num_workers=setting.request.workers,
    )
    for tokens, targets in loader:
        yield tokens.to(world.device), {name: [t.to(world.device) for t in found] for name, found in targets.items()}
