"""Writing on pictures, in sizes that suit them."""

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
"""Files of Linux, macOS and Windows, looked for only where Pillow's own font lacks a letter."""
UNHELD = "\U0010fffe"
"""No letter: fonts draw for it what they draw for every letter that they lack."""
OWN = ""


@cache
def face_of(name: str, size: float) -> ImageFont.FreeTypeFont | None:
    """A font of the system, or Pillow's own for an empty name; None where it is not installed."""
    try:
        found = ImageFont.truetype(name, size) if name else ImageFont.load_default(size=size)
    except OSError:
        return None
    return found if isinstance(found, ImageFont.FreeTypeFont) else None


def font_with(text: str) -> str:
    """The name of the first font that has all letters of the text; of none, the one that lacks the fewest."""
    letters = set(text)
    lacking: dict[str, int] = {}
    for name in (OWN, *FONTS):
        lacking[name] = sum(not holds(name, letter) for letter in letters)
        if not lacking[name]:
            return name
    return min(lacking, key=lambda name: lacking[name])


@cache
def holds(name: str, letter: str) -> bool:
    """Whether a font is installed and has a letter."""
    face = face_of(name, 20)
    return face is not None and bytes(face.getmask(letter)) != bytes(face.getmask(UNHELD))


SIZES = (12, 13, 17, 21, 26, 31, 35, 40, 44, 52, 60, 72, 84, 96)
"""Font sizes in pixels, from the smallest that can be read; in those between, the spaces are rounded too narrow."""


def font(size: int) -> ImageFont.FreeTypeFont:
    """Pillow's own font, which has the letters of ASCII."""
    loaded = face_of(OWN, size)
    assert loaded is not None  # it is part of Pillow
    return loaded


def font_for(size: tuple[int, int]) -> ImageFont.FreeTypeFont:
    """The font for a picture of ``size`` (height, width) pixels: the same to the eye whatever its resolution."""
    wanted = math.sqrt(size[0] * size[1]) / 38
    return font(min(SIZES, key=lambda each: abs(each - wanted)))


def line_of(face: ImageFont.FreeTypeFont) -> int:
    """Pixels from one line to the next."""
    return round(face.size * 1.4)


@cache
def plain(text: str) -> str:
    """The text on one line, Latin letters without accents, and a question mark for each that no font here has."""
    letters = "".join(map(_bare, unicodedata.normalize("NFC", " ".join(text.split()))))
    letters = "".join(letter for letter in letters if letter.isprintable())
    name = font_with(letters)
    return "".join(letter if holds(name, letter) else "?" for letter in letters)


def _bare(letter: str) -> str:
    """An accented letter without its accents where an ASCII letter is left; other scripts need their marks."""
    base = "".join(part for part in unicodedata.normalize("NFKD", letter) if not unicodedata.combining(part))
    return base if base.isascii() else letter


@cache
def _face(text: str, size: float) -> ImageFont.FreeTypeFont:
    """The font of ``size`` pixels that has the letters of the text."""
    return face_of(font_with(text), size) or font(round(size))


def length(text: str, face: ImageFont.FreeTypeFont) -> float:
    """The pixels that a text takes."""
    return _face(text, face.size).getlength(text)


def write(
    pen: ImageDraw.ImageDraw, place: tuple[float, float], text: str, face: ImageFont.FreeTypeFont, **how: Any
) -> None:
    """``pen.text`` in the size of ``face``, in the font that has the letters; ``how``: fill and anchor."""
    pen.text(place, text, font=_face(text, face.size), **how)


def fit(text: str, face: ImageFont.FreeTypeFont, width: float) -> str:
    """As much of the text as ``width`` pixels hold, with three dots where it is cut; empty if they hold nothing."""
    text = plain(text)
    if length(text, face) <= width:
        return text
    low, high = 0, len(text)  # so many letters fit, so many do not
    while high - low > 1:
        middle = (low + high) // 2
        fits = length(text[:middle].rstrip() + "…", face) <= width
        low, high = (middle, high) if fits else (low, middle)
    return text[:low].rstrip() + "…" if low else ""
