"""Clicks: points of images with a class each, which say nothing of the pixels between them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from argus_core.common.files import json_sha256
from argus_core.image import read_size
from argus_data.files.images import Layer

if TYPE_CHECKING:
    from argus_core.tasks.segment import Click, Segment

IGNORE = (255, 65535)
"""The index of pixels without a class: the first that is none of a class."""


class ClickLayer(Layer):
    """A mask per image: a disc of ``radius`` px about each click has its class, everything else is ignored.

    A pixel in several discs belongs to the nearest click. Radius 0 is that of ``paint_clicks``.
    """

    def __init__(
        self, paths: Sequence[Path], clicks: Sequence[Sequence[Click]], classes: Sequence[str], radius: float = 0.0
    ) -> None:
        self.paths, self.clicks = tuple(paths), tuple(map(tuple, clicks))
        self.classes, self.radius = tuple(classes), radius

    @property
    def task(self) -> Segment:
        """Segmentation into the classes of the clicks."""
        from argus_core.tasks.segment import Segment

        return Segment(classes=self.classes, ignore=self._ignored)

    def truth(self, sample: int) -> npt.NDArray[np.uint16]:
        """The classes (h, w) about the clicks of an image; raises ArgusError if its size cannot be read."""
        from argus_core.tasks.segment import paint_clicks

        return paint_clicks(self.clicks[sample], read_size(self.paths[sample]), self._ignored, self.radius)

    def digest(self) -> str:
        """sha256 (hex) over classes, radius and clicks."""
        return json_sha256([self.classes, self.radius, self.clicks])

    @property
    def _ignored(self) -> int:
        return next(index for index in IGNORE if index >= len(self.classes))
