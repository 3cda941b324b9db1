"""The picture of a film's frames: one layout and one size from the first to the last, whatever they show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from argus_core.draw.palette import Color, Pixels
from argus_core.draw.panel import INK, PAPER
from argus_core.draw.text import fit, font, length, line_of, write
from argus_core.model.panels import TEXT, Panel, panels_of
from argus_core.tasks import Result

MOST = 1920
"""Pixels of a film's longer side."""
LEAST = 420
"""Pixels of the width of a picture, so that its scale or legend fits below; smaller films are enlarged."""
TALLEST = 960
"""Pixels of height that a small film is enlarged to at most."""
GAP = 20
CLOSE = 6
"""Pixels between a picture and what stands below it."""
MUTED: Color = (112, 112, 112)
BACK: Color = (236, 238, 241)
"""Beside a frame of another shape than the first."""


@dataclass(frozen=True)
class _Cell:
    """A panel and where it stands: the corner of its title, and the size of its picture."""

    panel: Panel
    x: int
    y: int
    height: int
    width: int

    @property
    def bottom(self) -> int:
        strip = self.panel.strip_height(self.width)
        return self.y + line_of(font(TEXT)) + self.height + (CLOSE + strip if strip else 0)


class Screen:
    """Draws the results of a film's frames in their order; the first decide the layout.

    At the left stands the frame with the boxes of the first detector, its classes below; at the right a picture of
    every other result, in half the size where there are several. A class keeps its place in the legend, and the scale
    of depth only rises. ``size`` (height, width) is even and at most 1920.
    """

    def __init__(self, results: Mapping[str, Result]) -> None:
        image = next(iter(results.values())).image
        self._panels, self._cells, zoom = panels_of(results), list[_Cell](), 1.0
        self._rows = 2 if len(self._panels) > 2 else 1
        while not self._cells or max(self.size) > MOST:  # again, as lines of text do not shrink
            zoom *= min(1.0, 0.99 * MOST / max(self.size)) if self._cells else 1.0
            self._cells = self._layout(*_unit(image.shape[0], image.shape[1], self._rows, zoom))

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of every picture."""
        bottom = max(cell.bottom for cell in self._cells)
        right = max(cell.x + cell.width for cell in self._cells)
        return (bottom + GAP + 1) // 2 * 2, (right + GAP + 1) // 2 * 2

    def draw(self, results: Mapping[str, Result], number: int, time: float) -> Pixels:
        """The picture of a frame (h, w, 3), with its number and its time in seconds in the corner."""
        sheet = Image.new("RGB", (self.size[1], self.size[0]), PAPER)
        for cell in self._cells:
            _draw(sheet, cell, results, f"frame {number}    {clock_text(time)}" if cell is self._cells[0] else "")
        return np.array(sheet)

    def _layout(self, height: int, width: int) -> list[_Cell]:
        """The cells, where all but the first have pictures of this size."""
        first = _Cell(self._panels[0], GAP, GAP, self._rows * height, max(LEAST, self._rows * width))
        cells, y, room = [first], GAP, max(LEAST, width)
        for row in range(self._rows):
            panels = self._panels[1 + row :: self._rows]
            x = first.x + first.width + GAP
            cells += [_Cell(panel, x + at * (room + GAP), y, height, room) for at, panel in enumerate(panels)]
            y = max(cell.bottom for cell in cells[-len(panels) :]) + GAP if panels else y
        return cells


def _unit(height: int, width: int, rows: int, zoom: float) -> tuple[int, int]:
    """The (height, width) of the smaller pictures of frames of this size, the large one being ``rows`` times that."""
    zoom *= max(1.0, min(LEAST * rows / width, TALLEST / height))
    return max(1, round(height * zoom / rows)), max(1, round(width * zoom / rows))


def _draw(sheet: Image.Image, cell: _Cell, results: Mapping[str, Result], stamp: str) -> None:
    """Draw a cell on the sheet, with a text in the corner above it."""
    pen, face, middle = ImageDraw.Draw(sheet), font(TEXT), cell.y + line_of(font(TEXT)) / 2 - 2
    room = cell.width - (length(stamp, face) + GAP if stamp else 0)
    write(pen, (cell.x, middle), fit(cell.panel.title(results), face, room), face, fill=INK, anchor="lm")
    write(pen, (cell.x + cell.width, middle), stamp, face, fill=MUTED, anchor="rm")
    top = cell.y + line_of(face)
    pen.rectangle((cell.x, top, cell.x + cell.width - 1, top + cell.height - 1), fill=BACK)
    image = next(iter(results.values())).image
    zoom = min(cell.height / image.shape[0], cell.width / image.shape[1])
    size = max(1, round(image.shape[0] * zoom)), max(1, round(image.shape[1] * zoom))
    picture = Image.fromarray(cell.panel.picture(results, size))
    picture.thumbnail((cell.width, cell.height))
    sheet.paste(picture, (cell.x + (cell.width - picture.width) // 2, top + (cell.height - picture.height) // 2))
    if (strip := cell.panel.strip(results, cell.width)) is not None:
        sheet.paste(strip, (cell.x, top + cell.height + CLOSE))


def clock_text(seconds: float) -> str:
    """Seconds as on a player, such as ``0:04.10`` and ``1:02:03.40``."""
    hundredths = round(100 * seconds)
    minutes, rest = divmod(hundredths, 6000)
    hours, minutes = divmod(minutes, 60)
    start = f"{hours}:{minutes:02d}" if hours else f"{minutes}"
    return f"{start}:{rest / 100:05.2f}"
