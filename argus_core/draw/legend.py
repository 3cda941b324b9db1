"""What the colours of a picture mean: a swatch, a name and a number each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from argus_core.draw.palette import Color
from argus_core.draw.panel import EDGE, INK, PAPER
from argus_core.draw.text import fit, length, line_of, write

LEAST_ROWS = 10
"""Rows that a legend may have, however low the picture."""
MOST_COLUMNS = 2
"""Columns beside a picture; more entries than they hold are counted in a last line."""
NAME_EMS = 14
"""The most room for a name, in font sizes."""


@dataclass(frozen=True)
class Entry:
    """A line of a legend; without a colour it is just text."""

    color: Color | None
    name: str
    value: str = ""


def legend(entries: Sequence[Entry], room: int, face: ImageFont.FreeTypeFont, lying: bool) -> Image.Image:
    """A panel to be attached to a picture, below it and ``room`` pixels wide or beside it and as high.

    Entries run down its columns.
    """
    line, widths = line_of(face), _widths(entries, face)
    if lying:
        rows = min(LEAST_ROWS, math.ceil(len(entries) / max(1, room // sum(widths))))
        entries = _cut(entries, rows * max(1, room // sum(widths)))
    else:
        rows = min(len(entries), max(LEAST_ROWS, room // line))
        entries = _cut(entries, rows * MOST_COLUMNS)
    columns = math.ceil(len(entries) / rows)
    rows = math.ceil(len(entries) / columns)
    sheet = Image.new("RGB", (columns * sum(widths), rows * line), PAPER)
    for place, entry in enumerate(entries):
        corner = (place // rows * sum(widths), place % rows * line)
        _write(ImageDraw.Draw(sheet), entry, corner, widths, face)
    return sheet


def _widths(entries: Sequence[Entry], face: ImageFont.FreeTypeFont) -> tuple[int, int, int]:
    """Pixels for swatch, name and number, each with the space that follows it."""
    names = max(length(fit(entry.name, face, NAME_EMS * face.size), face) for entry in entries)
    values = max(face.getlength(entry.value) for entry in entries)
    space = face.size
    return round(1.5 * space), math.ceil(names + space), math.ceil(values + space if values else 0)


def _cut(entries: Sequence[Entry], room: int) -> list[Entry]:
    """The first entries, and how many there are besides."""
    if len(entries) <= room:
        return list(entries)
    return [*entries[: room - 1], Entry(None, f"and {len(entries) - room + 1} more")]


def _write(
    pen: ImageDraw.ImageDraw,
    entry: Entry,
    corner: tuple[int, int],
    widths: tuple[int, int, int],
    face: ImageFont.FreeTypeFont,
) -> None:
    (x, y), size = corner, round(face.size)
    middle = y + line_of(face) / 2
    if entry.color is not None:
        top = round(middle - size / 2)
        pen.rectangle((x, top, x + size - 1, top + size - 1), fill=entry.color, outline=EDGE)
    name = fit(entry.name, face, NAME_EMS * face.size)
    write(pen, (x + widths[0], middle), name, face, fill=INK, anchor="lm")
    right = x + sum(widths) - size
    pen.text((right, middle), entry.value, fill=INK, font=face, anchor="rm")
