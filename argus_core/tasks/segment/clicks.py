"""Points of images with a class each, as masks that say nothing of the pixels between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

REACH = 1 / 40
"""The default radius of a click by the longer side of its image: half a cell of 16 px on a canvas of 320 px."""


class Click(NamedTuple):
    """A point in pixels of the upright image, and the index of its class."""

    x: float
    y: float
    label: int


def paint_clicks(
    clicks: Sequence[Click], size: tuple[int, int], ignore: int, radius: float = 0.0
) -> npt.NDArray[np.uint16]:
    """The class of the nearest click at every pixel (h, w) within ``radius`` px of one, at least 1 px, else ``ignore``.

    Radius 0 is ``REACH`` of the longer side.
    """
    reach = max(radius or REACH * max(size), 1.0)
    labels = np.full(size, ignore, dtype=np.uint16)
    best = np.zeros(size, dtype=np.float32)  # zeros take no memory where nothing is written, as in most of an image
    for click in clicks:
        rows, cols = (_window(at, reach, end) for at, end in ((click.y, size[0]), (click.x, size[1])))
        y, x = (np.arange(window.start, window.stop) + 0.5 for window in (rows, cols))
        nearness = reach**2 - (y[:, None] - click.y) ** 2 - (x - click.x) ** 2
        closer = nearness > best[rows, cols]
        best[rows, cols][closer] = nearness[closer]
        labels[rows, cols][closer] = click.label
    return labels


def _window(at: float, reach: float, end: int) -> slice:
    """The pixels of an axis that a disc may touch."""
    return slice(max(0, int(at - reach)), min(end, int(at + reach) + 1))
