"""Clicks: points of images with a class each, which say nothing of the pixels between them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from argus_core.common.files import json_sha256
from argus_core.image import read_size
from argus_data.files.images import Layer

if TYPE_CHECKING:
    from argus_core.tasks.segment import Segment

IGNORE = (255, 65535)
"""The index of pixels without a class: the first that is none of a class."""
REACH = 1 / 40
"""The default radius of a click by the longer side of its image: half a cell of 16 px on a canvas of 320 px."""


class Click(NamedTuple):
    """A point in pixels of the upright image, and the index of its class."""

    x: float
    y: float
    label: int


class ClickLayer(Layer):
    """A mask per image: a disc of ``radius`` px about each click has its class, everything else is ignored.

    A pixel in several discs belongs to the nearest click. Radius 0 is ``REACH`` of the longer side.
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
        height, width = read_size(self.paths[sample])
        radius = self.radius or REACH * max(height, width)
        return paint(self.clicks[sample], (height, width), radius, self._ignored)

    def digest(self) -> str:
        """sha256 (hex) over classes, radius and clicks."""
        return json_sha256([self.classes, self.radius, self.clicks])

    @property
    def _ignored(self) -> int:
        return next(index for index in IGNORE if index >= len(self.classes))


def paint(clicks: Sequence[Click], size: tuple[int, int], radius: float, ignored: int) -> npt.NDArray[np.uint16]:
    """The class of the nearest click at every pixel (h, w) within ``radius`` px of one, at least 1 px."""
    labels = np.full(size, ignored, dtype=np.uint16)
    nearest = np.full(size, max(radius, 1.0) ** 2, dtype=np.float32)
    for click in clicks:
        rows, cols = (_window(at, radius, end) for at, end in ((click.y, size[0]), (click.x, size[1])))
        y, x = (np.arange(window.start, window.stop) + 0.5 for window in (rows, cols))
        apart = (y[:, None] - click.y) ** 2 + (x - click.x) ** 2
        closer = apart < nearest[rows, cols]
        nearest[rows, cols][closer] = apart[closer]
        labels[rows, cols][closer] = click.label
    return labels


def _window(at: float, radius: float, end: int) -> slice:
    """The pixels of an axis that a disc may touch."""
    reach = max(radius, 1.0)
    return slice(max(0, int(at - reach)), min(end, int(at + reach) + 1))
