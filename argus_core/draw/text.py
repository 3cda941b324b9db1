"""Text on pictures, in sizes that suit them and in fonts that have its letters."""

from __future__ import annotations

import math
import unicodedata
from functools import cache
from typing import Any

from PIL import ImageDraw, ImageFont

FONTS = (
    "DejaVuSans.ttf",
    "NotoSans-Regular.ttf",
    "NotoSansCJK-Regular.ttc",
    "DroidSansFallbackFull.ttf",
    "wqy-microhei.ttc",
    "Arial Unicode.ttf",
    "PingFang.ttc",
    "AppleSDGothicNeo.ttc",
    "segoeui.ttf",
    "msyh.ttc",
    "malgun.ttf",
    "Nirmala.ttf",
)
"""Files of Linux, macOS and Windows, searched only where Pillow's own font lacks a letter."""
MISSING = "\U0010fffe"
"""Not a letter: fonts draw it like every letter that they lack."""
OWN = ""
"""The name of Pillow's own font."""
SIZES = (12, 13, 17, 21, 26, 31, 35, 40, 44, 52, 60, 72, 84, 96)
"""Font sizes in pixels, from the smallest legible one; at sizes in between, the spaces are rounded too narrow."""


@cache
def face_of(name: str, size: float) -> ImageFont.FreeTypeFont | None:
    """A font of the system, or Pillow's own for an empty name; None where it is not installed."""
    try:
        face = ImageFont.truetype(name, size) if name else ImageFont.load_default(size=size)
    except OSError:
        return None
    return face if isinstance(face, ImageFont.FreeTypeFont) else None


def font_with(text: str) -> str:
    """The name of the first font that has all letters of the text, or else of the one that lacks the fewest."""
    letters = set(text)
    missing: dict[str, int] = {}
    for name in (OWN, *FONTS):
        missing[name] = sum(not has_letter(name, letter) for letter in letters)
        if not missing[name]:
            return name
    return min(missing, key=lambda name: missing[name])


@cache
def has_letter(name: str, letter: str) -> bool:
    """Whether a font is installed and has a letter."""
    face = face_of(name, 20)
    return face is not None and bytes(face.getmask(letter)) != bytes(face.getmask(MISSING))


def font(size: int) -> ImageFont.FreeTypeFont:
    """Pillow's own font, which has all ASCII letters."""
    loaded = face_of(OWN, size)
    assert loaded is not None  # it is part of Pillow
    return loaded


def font_for(size: tuple[int, int]) -> ImageFont.FreeTypeFont:
    """The font for a picture of ``size`` (height, width) pixels: larger for a higher resolution."""
    pixels = math.sqrt(size[0] * size[1]) / 38
    return font(min(SIZES, key=lambda size: abs(size - pixels)))


def line_of(face: ImageFont.FreeTypeFont) -> int:
    """Pixels from one line to the next."""
    return round(face.size * 1.4)


@cache
def plain(text: str) -> str:
    """The text on one line, Latin letters without accents, and question marks for letters that no font has."""
    letters = "".join(map(_bare, unicodedata.normalize("NFC", " ".join(text.split()))))
    letters = "".join(letter for letter in letters if letter.isprintable())
    name = font_with(letters)
    return "".join(letter if has_letter(name, letter) else "?" for letter in letters)


def _bare(letter: str) -> str:
    """An accented letter without its accents if that is an ASCII letter; other scripts need their marks."""
    base = "".join(part for part in unicodedata.normalize("NFKD", letter) if not unicodedata.combining(part))
    return base if base.isascii() else letter


@cache
def _face(text: str, size: float) -> ImageFont.FreeTypeFont:
    """The font of ``size`` pixels that has the letters of the text."""
    return face_of(font_with(text), size) or font(round(size))


def length(text: str, face: ImageFont.FreeTypeFont) -> float:
    """The width of a text in pixels."""
    return _face(text, face.size).getlength(text)


def write(
    pen: ImageDraw.ImageDraw, place: tuple[float, float], text: str, face: ImageFont.FreeTypeFont, **how: Any
) -> None:
    """``pen.text`` at the size of ``face``, in a font that has the letters; ``how`` are fill and anchor."""
    pen.text(place, text, font=_face(text, face.size), **how)


def fit(text: str, face: ImageFont.FreeTypeFont, width: float) -> str:
    """As much of the text as fits ``width`` pixels, with an ellipsis where it is cut; empty if nothing fits."""
    text = plain(text)
    if length(text, face) <= width:
        return text
    low, high = 0, len(text)  # the numbers of letters that fit, and that do not
    while high - low > 1:
        middle = (low + high) // 2
        fits = length(text[:middle].rstrip() + "…", face) <= width
        low, high = (middle, high) if fits else (low, middle)
    return text[:low].rstrip() + "…" if low else ""
