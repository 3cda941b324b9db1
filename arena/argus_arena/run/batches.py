"""The batches of a run: which images each step sees, their tokens, and the targets of every task."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from argus_arena.distributed import Distributed
from argus_core.cache.ahead import Ahead, reads_ahead
from argus_core.data import Split
from argus_core.data.split import read_truth
from argus_core.head import Head
from argus_core.tasks import Task
from argus_core.tokens import Features, Item, Tokens, TokenSource

ALIGNMENT = 16
"""The alignment in bytes of every tensor in the packed copy."""
ASKING = threading.Lock()
"""Held while a data set is asked for truths, as a head may read several batches at once while it is fitted."""
Batch = tuple[Tokens, dict[str, list[Any]]]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Order:
    """Shuffled epochs over ``images``, a function of the seed alone, so that any step can be resumed.

    Each image's view is drawn anew every epoch. A last short batch is dropped.
    """

    images: tuple[int, ...]
    views: tuple[str, ...]
    batch: int
    seed: int
    _epochs: dict[int, tuple[Indices, Indices]] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in one epoch, at least one."""
        return max(1, len(self.images) // self.batch)

    def items(self, step: int) -> Sequence[Item]:
        """The items of 0-based global ``step``."""
        epoch, position = divmod(step, self.steps_per_epoch)
        here = slice(position * self.batch, (position + 1) * self.batch)
        images, views = (values[here].tolist() for values in self._epoch(epoch))
        return [(image, self.views[view]) for image, view in zip(images, views, strict=True)]

    def _epoch(self, epoch: int) -> tuple[Indices, Indices]:
        """Images and views of an epoch, drawn once."""
        # Not functools.cache: it would hash all images at every step.
        if epoch not in self._epochs:
            self._epochs.clear()
            rng = np.random.default_rng([self.seed, epoch])
            images = rng.permutation(np.asarray(self.images))
            self._epochs[epoch] = images, rng.integers(len(self.views), size=len(images))
        return self._epochs[epoch]


@dataclass(frozen=True)
class TrainingData:
    """The tokens and annotations that heads learn from, and the order in which they are read.

    ``images`` are what heads are fitted on that take no steps; by default those of the order.
    """

    source: TokenSource
    split: Split
    order: Order
    images: tuple[int, ...] = ()

    def fitted_on(self, head: Head) -> tuple[int, ...]:
        """The images that a head is fitted on."""
        return self.order.images if head.trained or not self.images else self.images

    def batch(self, items: Sequence[Item], tasks: Mapping[str, Task]) -> Batch:
        """The tokens of some items, and the targets of every task."""
        tokens, placements = self.source.read(items)
        indices = [index for index, _ in items]
        with ASKING:
            truths = {name: [read_truth(self.split, index, name) for index in indices] for name in tasks}
        targets = {
            name: [task.target(truth, place) for truth, place in zip(truths[name], placements, strict=True)]
            for name, task in tasks.items()
        }
        return tokens, targets


@dataclass(frozen=True)
class Steps(Dataset[Batch]):
    """The batch of each training step: this process's share of it."""

    data: TrainingData
    tasks: Mapping[str, Task]
    process: Distributed

    def __getitem__(self, step: int) -> Batch:
        items = self.data.order.items(step)[self.process.rank :: self.process.size]
        return self.data.batch(items, self.tasks)


@dataclass(frozen=True)
class FitBatches:
    """Features and targets for a head that is fitted: every image once, as it is, in order.

    Several processes can each read a ``share``: see ``total_over_batches``.
    """

    data: TrainingData
    head: Head
    batch: int
    process: Distributed

    def __iter__(self) -> Iterator[tuple[Features, list[Any]]]:
        return self._read(self._starts)

    def share(self) -> Iterator[tuple[Features, list[Any]]]:
        """This process's batches; in order of rank those of all processes are all batches, in order."""
        starts = self._starts
        first, last = (len(starts) * rank // self.process.size for rank in (self.process.rank, self.process.rank + 1))
        return self._read(starts[first:last])

    def gather(self, value: Any) -> list[Any]:
        """``value`` of every process, in order of rank."""
        return self.process.gather(value)

    @property
    def _starts(self) -> range:
        return range(0, len(self.data.fitted_on(self.head)), self.batch)

    def _read(self, starts: Iterable[int]) -> Iterator[tuple[Features, list[Any]]]:
        with Ahead(self._batches(starts), thread=reads_ahead(self.data.source)) as batches:
            for batch in batches:
                tokens, targets = batch_to(batch, self.process.device)
                yield tokens.features(self.head.needs), targets[self.head.task.name]

    def _batches(self, starts: Iterable[int]) -> Iterator[Batch]:
        # Memory of its own: who fits may go through the images several times at once.
        data, tasks = replace(self.data, source=copy(self.data.source)), {self.head.task.name: self.head.task}
        images = data.fitted_on(self.head)
        for start in starts:
            yield data.batch([(index, "id") for index in images[start : start + self.batch]], tasks)


def step_batches(
    data: TrainingData, tasks: Mapping[str, Task], steps: range, workers: int, process: Distributed
) -> Ahead[Batch]:
    """The batches of some steps, in memory; a batch may be overwritten once the next one is asked for.

    They are read ahead by ``workers`` processes, or without any by a thread if ``reads_ahead`` allows it.
    """
    # The samples are whole batches already, made by step, so that any step can be the first.
    loader: DataLoader[Batch] = DataLoader(
        Steps(data, tasks, process),
        batch_size=None,
        sampler=steps,
        num_workers=workers,
        worker_init_fn=leave_interrupts,
    )
    return Ahead(loader, thread=not workers and reads_ahead(data.source))


def leave_interrupts(worker: int) -> None:
    """Ctrl-C reaches every process of a terminal; the main one saves the state, for which it needs the batches."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def batch_to(batch: Batch, device: torch.device) -> Batch:
    """Tokens and targets on ``device``."""
    tokens, targets = batch
    return tokens.to(device), {name: targets_to(each, device) for name, each in targets.items()}


def targets_to(targets: Sequence[Any], device: torch.device) -> list[Any]:
    """Targets on ``device``: the tensors of all that hold nothing else in one copy, others by their ``to``."""
    if device.type == "cpu" or not all(map(_holds_tensors, targets)):
        return [target.to(device) for target in targets]
    parts = [getattr(target, part.name) for target in targets for part in fields(target)]
    raw = [part.flatten().view(torch.uint8) for part in parts]
    sizes = [-(-len(part) // ALIGNMENT) * ALIGNMENT for part in raw]
    packed = torch.cat([F.pad(part, (0, size - len(part))) for part, size in zip(raw, sizes, strict=True)])
    packed = packed.pin_memory() if device.type == "cuda" else packed
    moved = packed.to(device, non_blocking=device.type == "cuda").split(sizes)
    views = (
        block[: len(flat)].view(part.dtype).view(part.shape)
        for block, flat, part in zip(moved, raw, parts, strict=True)
    )
    return [replace(target, **{part.name: next(views) for part in fields(target)}) for target in targets]


def _holds_tensors(target: Any) -> bool:
    return is_dataclass(target) and all(isinstance(getattr(target, part.name), Tensor) for part in fields(target))
