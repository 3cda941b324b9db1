"""Views that are drawn once: the same few of every photograph, however often it is seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from argus_arena.distill.augment import Image, View, draw_view
from argus_arena.distill.photographs import Photographs
from argus_arena.distill.recipe import Augmentation

ENDLESS = "id"
"""An item's view where there are no fixed ones: another one every time."""
FIXED = 2
"""The part of an image's seed that is for fixed views; a step has others for its own."""


@dataclass(frozen=True)
class FixedViews:
    """``count`` views of every photograph, a function of augmentation, image and number; none if ``count`` is 0."""

    photographs: Photographs
    augmentation: Augmentation
    count: int

    @property
    def names(self) -> tuple[str, ...]:
        """The views of an image, as an item names them."""
        return tuple(map(str, range(self.count))) or (ENDLESS,)

    def draw(self, index: int, number: int, image: Image) -> View:
        """The parameters of a view of the photograph ``index``, whose pixels are given."""
        rng = np.random.default_rng([self.augmentation.seed, index, FIXED, number])
        return draw_view(self.augmentation, (image.shape[0], image.shape[1]), rng)

    @property
    def identity(self) -> dict[str, Any]:
        """What decides all views, beside the bytes of the photographs, as plain JSON values."""
        return {
            "augmentation": self.augmentation.model_dump(mode="json"),
            "crops": self.count,
            "images": len(self.photographs),
            "keys": self.photographs.digest(),
        }
