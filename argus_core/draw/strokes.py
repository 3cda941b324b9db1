"""Smooth lines and points on a picture: drawn at a larger scale, then reduced."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from PIL import Image, ImageDraw

from argus_core.draw.palette import Color, ink_on

Point = tuple[float, float]


@dataclass(frozen=True)
class Strokes:
    """A pen whose coordinates are continuous x, y pixels of the picture: pixel ``i`` covers ``[i, i + 1)``.

    All strokes have a rim of black or white, whichever contrasts with their colour, so that any image shows them.
    """

    pen: ImageDraw.ImageDraw
    factor: int

    def line(self, start: Point, end: Point, color: Color, width: float, opacity: float) -> None:
        """A straight line of ``width`` pixels, half of which are its rims."""
        points = [self._at(start), self._at(end)]
        for share, ink, strength in ((1.0, ink_on(color), 0.5 * opacity), (0.5, color, opacity)):
            self.pen.line(points, (*ink, round(255 * strength)), max(1, round(share * width * self.factor)))

    def dot(self, centre: Point, radius: float, color: Color) -> None:
        """A disc; a fifth of its ``radius`` is the rim."""
        x, y = self._at(centre)
        for share, ink in ((1.0, ink_on(color)), (0.8, color)):
            r = share * radius * self.factor
            self.pen.ellipse((x - r, y - r, x + r, y + r), (*ink, 255))

    def _at(self, point: Point) -> Point:
        return point[0] * self.factor - 0.5, point[1] * self.factor - 0.5


@contextmanager
def strokes(picture: Image.Image) -> Iterator[Strokes]:
    """A pen; at the end of the context its strokes are pasted on ``picture``, an RGB image."""
    area = picture.width * picture.height
    factor = 3 if area < 2e6 else 2 if area < 8e6 else 1
    layer = Image.new("RGBA", (picture.width * factor, picture.height * factor))
    yield Strokes(ImageDraw.Draw(layer), factor)
    layer = layer.reduce(factor)
    picture.paste(layer, (0, 0), layer)
