"""Fonts that have the letters of a text: Pillow's own, or one of the system's."""

from __future__ import annotations

from functools import cache

from PIL import ImageFont

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
