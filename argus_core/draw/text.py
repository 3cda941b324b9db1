"""Writing on pictures, in sizes that suit them."""

from __future__ import annotations

import math
import unicodedata
from functools import cache

from PIL import ImageFont

SIZES = (12, 13, 17, 21, 26, 31, 35, 40, 44, 52, 60, 72, 84, 96)
"""Font sizes in pixels, from the smallest that can be read; in those between, the spaces are rounded too narrow."""


@cache
def font(size: int) -> ImageFont.FreeTypeFont:
    """Pillow's own font, which has the letters of ASCII."""
    loaded = ImageFont.load_default(size=size)
    assert isinstance(loaded, ImageFont.FreeTypeFont)  # what a size asks for
    return loaded


def font_for(size: tuple[int, int]) -> ImageFont.FreeTypeFont:
    """The font for a picture of ``size`` (height, width) pixels: the same to the eye whatever its resolution."""
    wanted = math.sqrt(size[0] * size[1]) / 38
    return font(min(SIZES, key=lambda each: abs(each - wanted)))


def line_of(face: ImageFont.FreeTypeFont) -> int:
    """Pixels from one line to the next."""
    return round(face.size * 1.4)


def plain(text: str) -> str:
    """The text on one line, letters without the accents that the font lacks."""
    apart = unicodedata.normalize("NFKD", " ".join(text.split()))
    return "".join(letter for letter in apart if not unicodedata.combining(letter) and letter.isprintable())


def fit(text: str, face: ImageFont.FreeTypeFont, width: float) -> str:
    """As much of the text as ``width`` pixels hold, with three dots where it is cut; empty if they hold nothing."""
    text = plain(text)
    if face.getlength(text) <= width:
        return text
    low, high = 0, len(text)  # so many letters fit, so many do not
    while high - low > 1:
        middle = (low + high) // 2
        fits = face.getlength(text[:middle].rstrip() + "…") <= width
        low, high = (middle, high) if fits else (low, middle)
    return text[:low].rstrip() + "…" if low else ""
