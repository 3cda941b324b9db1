"""What every step sees: views of its images, and of teachers whose answers are stored also these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from argus_arena.distill.augment import draw_view, render_view
from argus_arena.distill.fixed import ENDLESS, FixedViews
from argus_arena.distill.plan import Plan, StepPlan
from argus_arena.distill.stored import Store
from argus_arena.distill.teachers import Seen
from argus_arena.distributed import Distributed
from argus_arena.run.batches import Order, leave_interrupts
from argus_core.cache.ahead import Ahead
from argus_core.registry.loading import debugging
from argus_core.tokens import Item

IMAGES = 0
"""The part of a step's seed that is for images."""


@dataclass(frozen=True)
class Views(Dataset[list[Seen]]):
    """For each step what this process sees, in as many parts as the step has passes.

    ``order`` tells which views there are of an image: ``ENDLESS``, another one every time, or the numbers of ``fixed``
    ones, which a ``store`` may hold.
    """

    fixed: FixedViews
    order: Order
    plan: Plan
    passes: int
    process: Distributed
    store: Store | None = None

    def __getitem__(self, step: int) -> list[Seen]:
        items = list(enumerate(self.order.items(step)))[self.process.rank :: self.process.size]
        share, plan = len(items) // self.passes, self.plan.whole(step)
        return [self._seen(items[start : start + share], step, plan) for start in range(0, len(items), share)]

    def _seen(self, items: Sequence[tuple[int, Item]], step: int, plan: StepPlan) -> Seen:
        """Some items, each with its place in the step, which decides its view, not the process that makes it."""
        if self.store is not None:
            return Seen(*self.store.read([item for _, item in items], plan))
        views = [self._rendered(item, step, place, plan.sizes) for place, item in items]
        return Seen({size: torch.stack([view[size] for view in views]) for size in plan.sizes}, {})

    def _rendered(self, item: Item, step: int, place: int, sizes: Sequence[int]) -> dict[int, Tensor]:
        index, which = item
        image = self.fixed.photographs.read(index)
        if which == ENDLESS:
            rng = np.random.default_rng([self.order.seed, step, IMAGES, place])
            view = draw_view(self.fixed.augmentation, (image.shape[0], image.shape[1]), rng)
        else:
            view = self.fixed.draw(index, int(which), image)
        return {size: render_view(image, view, size) for size in sizes}


def view_batches(views: Views, steps: range, workers: int) -> Ahead[list[Seen]]:
    """The views of some steps, made ahead by ``workers`` processes, or without any by a thread."""
    loader: DataLoader[list[Seen]] = DataLoader(
        views, batch_size=None, sampler=steps, num_workers=workers, worker_init_fn=leave_interrupts
    )
    return Ahead(loader, thread=not workers and not debugging())
