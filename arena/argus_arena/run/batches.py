"""The batches of a run: tokens and the targets of every task, step by step, on the run's device."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from argus_arena.distributed import Distributed
from argus_arena.run.context import Setting
from argus_core.head import Head
from argus_core.tasks import Task
from argus_core.tokens import Features, Tokens

ALIGNED = 16
"""Bytes at whose multiples a tensor may begin, whatever it holds."""
Batch = tuple[Tokens, dict[str, list[Any]]]


class Steps(Dataset[Batch]):
    """The batch of each training step: this process's share of the tokens, and the targets of every task."""

    def __init__(self, setting: Setting, tasks: Mapping[str, Task], world: Distributed) -> None:
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

    def __init__(self, setting: Setting, head: Head, batch: int, world: Distributed) -> None:
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
            yield tokens.features(self.head.needs), carried(targets, self.world.device)


def feed(setting: Setting, world: Distributed, start: int, total: int) -> Iterator[Batch]:
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
        yield tokens.to(world.device), {name: carried(found, world.device) for name, found in targets.items()}


def carried(targets: Sequence[Any], device: torch.device) -> list[Any]:
    """Targets on ``device``: the tensors of all that hold nothing else in one copy, others by their ``to``."""
    if device.type == "cpu" or not all(map(_holds_tensors, targets)):
        return [target.to(device) for target in targets]
    parts = [getattr(target, each.name) for target in targets for each in fields(target)]
    raw = [part.flatten().view(torch.uint8) for part in parts]
    room = [-(-len(one) // ALIGNED) * ALIGNED for one in raw]
    packed = torch.cat([F.pad(one, (0, size - len(one))) for one, size in zip(raw, room, strict=True)])
    packed = packed.pin_memory() if device.type == "cuda" else packed
    there = packed.to(device, non_blocking=device.type == "cuda").split(room)
    views = (
        place[: len(one)].view(part.dtype).view(part.shape) for place, one, part in zip(there, raw, parts, strict=True)
    )
    return [replace(target, **{each.name: next(views) for each in fields(target)}) for target in targets]


def _holds_tensors(target: Any) -> bool:
    return is_dataclass(target) and all(isinstance(getattr(target, one.name), Tensor) for one in fields(target))
