"""One picture of all results for an image."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from argus_core.draw.classes import score_rows
from argus_core.draw.palette import Pixels
from argus_core.draw.panel import INK, PAPER, attach, resized
from argus_core.draw.text import fit, font, font_for, length, line_of, write
from argus_core.tasks import PlainResult, Result
from argus_core.tasks.classify import ClassResult

SIDE = 512
"""The image has the area of a square of this side in pixels in each picture."""
MAX_SIDE = 1024
TITLE = 17
"""Pixels of the titles' font."""
GAP = 20
ASPECT = 1.5
"""Preferred width of the grid by its height."""
EMPTY_CELL = 0.9
"""Cost of an empty cell, compared to the logarithm of the deviation from ``ASPECT``."""
MUTED = (112, 112, 112)


@dataclass(frozen=True)
class Cell:
    """A picture under a title, with a grey note beside the title."""

    title: str
    note: str
    picture: Pixels


def draw_results(results: Mapping[str, Result]) -> Pixels:
    """A grid of the image with its classes below and a picture of every other result, all on one scale.

    ``results`` are of one image, by head name. Results without a picture are left out.
    """
    image = next(iter(results.values())).image
    size = tile_size((image.shape[0], image.shape[1]))
    kinds = Counter(type(result) for result in results.values())
    classes = {name: result for name, result in results.items() if isinstance(result, ClassResult)}
    cells = [_photograph(image, size, classes)]
    for name, result in results.items():
        if not isinstance(result, ClassResult | PlainResult):
            title = result.headline()
            note = name if title and kinds[type(result)] > 1 else ""
            cells.append(Cell(title or name, note, result.tile(size)))
    return grid(cells)


def tile_size(size: tuple[int, int], side: int = SIDE) -> tuple[int, int]:
    """The (height, width) at which an image of ``size`` is shown: of the area of a square of ``side``."""
    zoom = min(side / math.sqrt(size[0] * size[1]), MAX_SIDE / max(size))
    return max(1, round(size[0] * zoom)), max(1, round(size[1] * zoom))


def _photograph(image: Pixels, size: tuple[int, int], classes: Mapping[str, ClassResult]) -> Cell:
    """The image with the classes of each head below it."""
    picture, face = resized(image, size), font_for(size)
    for name, result in classes.items():
        if len(classes) > 1:
            picture = attach(picture, _line(name, face, size[1]), face.size / 3, below=True)
        picture = attach(picture, score_rows(result.rows, size[1], face), face.size / 3, below=True)
    return Cell("image", f"{image.shape[1]} wide, {image.shape[0]} high", picture)


def _line(text: str, face: ImageFont.FreeTypeFont, room: int) -> Image.Image:
    sheet = Image.new("RGB", (room, line_of(face)), PAPER)
    write(
        ImageDraw.Draw(sheet), (face.size / 2, line_of(face) / 2), fit(text, face, room), face, fill=MUTED, anchor="lm"
    )
    return sheet


def grid(cells: Sequence[Cell]) -> Pixels:
    """The cells row by row on one sheet."""
    line = line_of(font(TITLE))
    width = max(cell.picture.shape[1] for cell in cells)
    columns = _columns(len(cells), width + GAP, max(cell.picture.shape[0] for cell in cells) + line + GAP)
    rows = [cells[start : start + columns] for start in range(0, len(cells), columns)]
    heights = [line + max(cell.picture.shape[0] for cell in row) + GAP for row in rows]
    sheet = Image.new("RGB", (columns * (width + GAP) + GAP, sum(heights) + GAP), PAPER)
    for number, row in enumerate(rows):
        for column, cell in enumerate(row):
            _put(sheet, cell, (GAP + column * (width + GAP), GAP + sum(heights[:number])), width)
    return np.array(sheet)


def _put(sheet: Image.Image, cell: Cell, corner: tuple[int, int], width: int) -> None:
    """Draw a cell on the sheet; titles that do not fit are cut."""
    pen, face, line = ImageDraw.Draw(sheet), font(TITLE), line_of(font(TITLE))
    note = fit(cell.note, face, width / 2)
    space = length(note, face) + TITLE / 2 if note else 0
    title = fit(cell.title, face, width - space)
    middle = corner[1] + line / 2 - TITLE / 5
    write(pen, (corner[0], middle), title, face, fill=INK, anchor="lm")
    write(pen, (corner[0] + length(title, face) + TITLE / 2, middle), note, face, fill=MUTED, anchor="lm")
    sheet.paste(Image.fromarray(cell.picture), (corner[0], corner[1] + line))


def _columns(count: int, width: int, height: int) -> int:
    """The number of columns for ``count`` cells (width, height): near ``ASPECT``, with few empty cells."""

    def cost(columns: int) -> float:
        rows = math.ceil(count / columns)
        return abs(math.log(columns * width / (rows * height) / ASPECT)) + EMPTY_CELL * (rows * columns - count)

    return min(range(1, count + 1), key=cost)
