"""Pictures and their legends placed next to each other, never over each other; small ones enlarged first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from argus_core.draw.palette import WHITE, Color, Pixels
from argus_core.draw.text import fit, font_for, line_of, write

PAPER: Color = WHITE
INK: Color = (32, 32, 32)
EDGE: Color = (120, 120, 120)
LEAST = 360
"""Pictures with fewer pixels than a square of this side are enlarged, so that names on them hide little."""
MOST = 1600
"""Pixels that no side is enlarged beyond."""


def size_of(image: Pixels) -> tuple[int, int]:
    """Height and width of an image."""
    return image.shape[0], image.shape[1]


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
    face = font_for(size_of(pictures[0]))
    line, gap = line_of(face), max(4, face.size // 3)
    width = sum(picture.shape[1] + gap for picture in pictures) - gap
    sheet = Image.new("RGB", (width, line + max(picture.shape[0] for picture in pictures)), PAPER)
    pen, x = ImageDraw.Draw(sheet), 0
    for picture, title in zip(pictures, titles, strict=True):
        sheet.paste(Image.fromarray(picture), (x, line))
        write(pen, (x + gap / 2, line / 2), fit(title, face, picture.shape[1] - gap), face, fill=INK, anchor="lm")
        x += picture.shape[1] + gap
    return np.array(sheet)


def factor_for(size: tuple[int, int]) -> int:
    """The whole number by which a picture of ``size`` (height, width) pixels is enlarged before text is added."""
    return max(1, min(math.ceil(LEAST / math.sqrt(size[0] * size[1])), MOST // max(size)))


def enlarged(image: Pixels) -> tuple[Pixels, int]:
    """An RGB image, enlarged if it is too small for text, and the factor of that."""
    factor = factor_for(size_of(image))
    return resized(image, (image.shape[0] * factor, image.shape[1] * factor)), factor


def resized(image: Pixels, size: tuple[int, int]) -> Pixels:
    """An RGB image at ``size`` (height, width), smoothly; a copy where it has that size."""
    if image.shape[:2] == size:
        return image.copy()
    shrinks = size[0] * size[1] < image.shape[0] * image.shape[1]
    method = Image.Resampling.LANCZOS if shrinks else Image.Resampling.BICUBIC
    return np.array(Image.fromarray(image).resize((size[1], size[0]), method, reducing_gap=3))


def resized_map(values: npt.NDArray[Any], size: tuple[int, int]) -> npt.NDArray[Any]:
    """Numbers or labels (h, w) at ``size`` (height, width), by the nearest pixel, as labels must not be mixed."""
    rows, columns = (
        np.minimum(((np.arange(new) + 0.5) * old / new).astype(np.intp), old - 1)
        for new, old in zip(size, values.shape, strict=True)
    )
    return values[rows[:, None], columns[None]]
