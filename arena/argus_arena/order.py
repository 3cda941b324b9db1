"""Which images and views each training step sees: a function of the seed alone, so that any step can be resumed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from argus_core.source import Item


@dataclass(frozen=True)
class Order:
    """Shuffled epochs over ``images``; each image's view is drawn anew every epoch. A last short batch is dropped."""

    images: tuple[int, ...]
    views: tuple[str, ...]
    batch: int
    seed: int

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in one epoch, at least one."""
        return max(1, len(self.images) // self.batch)

    def items(self, step: int) -> Sequence[Item]:
        """The items of 0-based global ``step``."""
        epoch, position = divmod(step, self.steps_per_epoch)
        order = _epoch(self, epoch)
        return order[position * self.batch : (position + 1) * self.batch]


@lru_cache(maxsize=2)
def _epoch(order: Order, epoch: int) -> list[Item]:
    rng = np.random.default_rng([order.seed, epoch])
    images = rng.permutation(np.asarray(order.images))
    views = rng.integers(len(order.views), size=len(images))
    return [(int(image), order.views[view]) for image, view in zip(images, views, strict=True)]
