"""Images that a canvas shrinks so far that small objects are lost."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from argus_core.canvas import Canvas
from argus_core.errors import counted

LEAST = 8
"""Pixels of the canvas that an object needs: a cell of the finest map that detectors read by default."""
SMALL = 32
"""Pixels of the image below which COCO calls an object small: nothing is said unless all small ones are lost."""


@dataclass
class Shrunk:
    """How many images were shrunk so far that objects of ``SMALL`` px have no ``LEAST`` px on the canvas, and how far.

    ``remedy`` is what to do about it, in the words of a command or of Python.
    """

    remedy: str
    count: int = 0
    below: int = 0
    size: tuple[int, int] = (0, 0)
    canvas: tuple[int, int] = (0, 0)

    def add(self, size: tuple[int, int], canvases: Iterable[Canvas]) -> None:
        """Count an image of ``size`` (height, width) if one of the ``canvases`` it is seen on is too small for it."""
        lost = [(math.ceil(LEAST / min(canvas.place(*size).scale)), canvas.size) for canvas in canvases]
        below, canvas = max(lost, default=(0, (0, 0)))
        if below >= SMALL:
            self.count += 1
            if below > self.below:
                self.below, self.size, self.canvas = below, size, canvas

    def notes(self) -> list[str]:
        """A sentence with the numbers of the image that was shrunk furthest; none if no image was."""
        if not self.count:
            return []
        (rows, columns), (height, width) = self.size, self.canvas
        images = f"{counted(self.count, 'image')} {'is' if self.count == 1 else 'are'}"
        return [
            f"{images} much larger than the canvas: objects below {self.below} px vanish where "
            f"{columns}x{rows} px become {width}x{height} (width x height); {self.remedy}"
        ]
