"""Which images and views each training step sees: a function of the seed alone, so that any step can be resumed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from argus_core.tokens import Item

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Order:
    """Shuffled epochs over ``images``; each image's view is drawn anew every epoch. A last short batch is dropped."""

    images: tuple[int, ...]
    views: tuple[str, ...]
    batch: int
    seed: int
    _drawn: dict[int, tuple[Indices, Indices]] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in one epoch, at least one."""
        return max(1, len(self.images) // self.batch)

    def items(self, step: int) -> Sequence[Item]:
        """The items of 0-based global ``step``."""
        epoch, position = divmod(step, self.steps_per_epoch)
        images, views = (one[position * self.batch : (position + 1) * self.batch] for one in self._epoch(epoch))
        return [(int(image), self.views[view]) for image, view in zip(images, views, strict=True)]

    def _epoch(self, epoch: int) -> tuple[Indices, Indices]:
        """Images and views of an epoch, drawn once: hashing all images at every step, as a cache would, is dear."""
        if epoch not in self._drawn:
            self._drawn.clear()
            rng = np.random.default_rng([self.seed, epoch])
            images = rng.permutation(np.asarray(self.images))
            self._drawn[epoch] = images, rng.integers(len(self.views), size=len(images))
        return self._drawn[epoch]
