"""Legends: a swatch, a name and a number for each colour of a picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from argus_core.draw.palette import Color, Pixels
from argus_core.draw.panel import EDGE, INK, PAPER, attach, lies, size_of
from argus_core.draw.text import fit, font_for, length, line_of, write

LEAST_ROWS = 10
"""Rows that a legend may have beside a picture of any height."""
MOST_COLUMNS = 2
"""Columns beside a picture; entries that do not fit are counted in a last line."""
NAME_EMS = 14
"""The most room for a name, in font sizes."""


@dataclass(frozen=True)
class Entry:
    """A line of a legend; without a colour it is only text."""

    color: Color | None
    name: str
    value: str = ""


def attach_legend(picture: Pixels, entries: Sequence[Entry], below: bool | None = None) -> Pixels:
    """The picture with a legend below or beside it, by default below a wide picture."""
    size = size_of(picture)
    under, face = lies(size) if below is None else below, font_for(size)
    return attach(picture, legend(entries, size[under], face, under), face.size / 2, under)


def legend(entries: Sequence[Entry], room: int, face: ImageFont.FreeTypeFont, lying: bool) -> Image.Image:
    """A panel to attach to a picture: below it and ``room`` pixels wide, or beside it and as high.

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


def steady_legend(
    entries: Sequence[Entry | None], room: int, face: ImageFont.FreeTypeFont, columns: int
) -> Image.Image:
    """A panel ``room`` pixels wide whose entries stand where their number says; None leaves a place empty."""
    line, rows = line_of(face), math.ceil(len(entries) / columns)
    sheet = Image.new("RGB", (room, rows * line), PAPER)
    value = math.ceil(face.getlength("00.0 %") + face.size)
    widths = round(1.5 * face.size), room // columns - round(1.5 * face.size) - value, value
    for place, entry in enumerate(entries):
        if entry is not None:
            corner = (place % columns * (room // columns), place // columns * line)
            _write(ImageDraw.Draw(sheet), entry, corner, widths, face)
    return sheet


def _widths(entries: Sequence[Entry], face: ImageFont.FreeTypeFont) -> tuple[int, int, int]:
    """Pixels for swatch, name and number, each with the space that follows it."""
    names = max(length(fit(entry.name, face, NAME_EMS * face.size), face) for entry in entries)
    values = max(face.getlength(entry.value) for entry in entries)
    space = face.size
    return round(1.5 * space), math.ceil(names + space), math.ceil(values + space if values else 0)


def _cut(entries: Sequence[Entry], room: int) -> list[Entry]:
    """The first entries, and the number of the others."""
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
    name = fit(entry.name, face, min(NAME_EMS * face.size, widths[1]))
    write(pen, (x + widths[0], middle), name, face, fill=INK, anchor="lm")
    right = x + sum(widths) - size
    pen.text((right, middle), entry.value, fill=INK, font=face, anchor="rm")
