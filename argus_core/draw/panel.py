"""Putting pictures and their legends next to each other, never over each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from argus_core.draw.palette import WHITE, Color, Pixels
from argus_core.draw.text import fit, font_for, line_of, write

PAPER: Color = WHITE
INK: Color = (32, 32, 32)
EDGE: Color = (120, 120, 120)


def lies(size: tuple[int, int]) -> bool:
    """Whether a picture of (height, width) is so wide that its legend belongs below it, not beside."""
    return size[1] > 2 * size[0]


def attach(picture: Pixels, panel: Image.Image, gap: float, below: bool) -> Pixels:
    """The picture at the top left with ``panel`` below or beside it; paper fills the rest."""
    height, width = picture.shape[:2]
    space = round(gap)
    if below:
        corner, size = (0, height + space), (max(width, panel.width), height + space + panel.height)
    else:
        corner, size = (width + space, 0), (width + space + panel.width, max(height, panel.height))
    sheet = Image.new("RGB", size, PAPER)
    sheet.paste(Image.fromarray(picture), (0, 0))
    sheet.paste(panel, corner)
    return np.array(sheet)


def side_by_side(pictures: Sequence[Pixels], titles: Sequence[str]) -> Pixels:
    """Pictures in a row, each under its title."""
    face = font_for((pictures[0].shape[0], pictures[0].shape[1]))
    line, gap = line_of(face), max(4, face.size // 3)
    width = sum(picture.shape[1] + gap for picture in pictures) - gap
    sheet = Image.new("RGB", (width, line + max(picture.shape[0] for picture in pictures)), PAPER)
    pen, x = ImageDraw.Draw(sheet), 0
    for picture, title in zip(pictures, titles, strict=True):
        sheet.paste(Image.fromarray(picture), (x, line))
        write(pen, (x + gap / 2, line / 2), fit(title, face, picture.shape[1] - gap), face, fill=INK, anchor="lm")
        x += picture.shape[1] + gap
    return np.array(sheet)
