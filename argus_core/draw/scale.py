"""Colours for numbers, and a scale bar that explains them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from argus_core.draw.palette import GREY, Pixels, from_oklab
from argus_core.draw.panel import EDGE, INK, PAPER, attach, lies, size_of
from argus_core.draw.text import font_for, line_of

STEPS = 256


@cache
def ramp() -> Pixels:
    """(256, 3) RGB bytes along a half turn of hue in Oklab, with evenly rising lightness.

    It keeps its order in greyscale and for colour-blind readers.
    """
    along = np.linspace(0, 1, STEPS)
    lightness, hue = 0.18 + 0.78 * along, np.radians(280 + 185 * along)
    chroma = 0.06 + 0.13 * np.sin(np.pi * along**0.9)
    chroma = np.minimum(chroma, _most_chroma(lightness, hue))
    colors = np.rint(from_oklab(_lab(lightness, chroma, hue)).clip(0, 1) * 255).astype(np.uint8)
    colors.flags.writeable = False
    return colors


def shade(share: npt.NDArray[np.floating[Any]]) -> Pixels:
    """(..., 3) RGB bytes of numbers in 0..1; numbers beyond get the colour of the end."""
    return ramp()[np.rint(np.clip(share, 0, 1) * (STEPS - 1)).astype(np.intp)]


def _lab(lightness: npt.NDArray[Any], chroma: npt.NDArray[Any], hue: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.stack([lightness, chroma * np.cos(hue), chroma * np.sin(hue)], axis=-1)


def _most_chroma(lightness: npt.NDArray[Any], hue: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The strongest colours that a screen shows, by bisection."""
    low, high = np.zeros_like(hue), np.full_like(hue, 0.4)
    for _ in range(20):
        middle = (low + high) / 2
        rgb = from_oklab(_lab(lightness, middle, hue))
        shown = ((rgb >= 0) & (rgb <= 1)).all(axis=-1)
        low, high = np.where(shown, middle, low), np.where(shown, high, middle)
    return low


@dataclass(frozen=True)
class Scale:
    """Numbers from ``low`` to ``high`` in a ``unit``; with ``falling`` low numbers have light colours.

    ``below`` and ``above`` are whether there are numbers beyond the ends, which are pointed then; ``unknown`` is the
    name of grey, ``title`` that of the quantity.
    """

    low: float
    high: float
    unit: str = ""
    falling: bool = False
    below: bool = False
    above: bool = False
    unknown: str = ""
    title: str = ""

    def paint(self, values: npt.NDArray[Any]) -> Pixels:
        """(..., 3) RGB bytes of numbers that are not nan; numbers beyond the ends get their colours."""
        span = self.high - self.low
        inside = np.clip(values, self.low, self.high)  # first, as a quotient of huge numbers overflows
        share = (inside - self.low) / span if span > 0 else np.full(np.shape(values), 0.5)
        return shade(1 - share if self.falling else share)


def ticks(low: float, high: float, most: int) -> tuple[list[float], int]:
    """Round numbers from ``low`` to ``high``, rising, between 1 and ``most`` (at least 5), and their decimals.

    The steps are 1, 2 or 5 times a power of ten. Ends too close to distinguish give one number.
    """
    span = high - low
    if not span > 1e-6 * max(abs(low), abs(high)):
        return [low], max(0, 2 - _exponent(low)) if low else 0
    for exponent in range(_exponent(span) - 2, _exponent(span) + 2):
        for digit in (1, 2, 5):
            step = digit * 10.0**exponent
            first, last = math.ceil(low / step - 1e-6), math.floor(high / step + 1e-6)
            if last - first < most:
                return [number * step for number in range(first, last + 1)], max(0, -exponent)
    raise AssertionError("ten times the span has no two multiples in it")


def attach_scale(picture: Pixels, scale: Scale, below: bool | None = None) -> Pixels:
    """The picture with a scale bar below or beside it, by default below a wide picture."""
    size = size_of(picture)
    under, face = lies(size) if below is None else below, font_for(size)
    return attach(picture, scale_bar(scale, size[under], face, under), face.size / 2, under)


def scale_bar(scale: Scale, room: int, face: ImageFont.FreeTypeFont, lying: bool) -> Image.Image:
    """A panel to attach to a picture: ``room`` pixels wide below it, or as high beside it; larger if necessary."""
    line, em = line_of(face), round(face.size)
    rows = [row for row in (scale.title, scale.unknown) if row]
    bar = (_lying if lying else _upright)(scale, room if lying else room - line * len(rows), face)
    indent = em // 4  # otherwise the left edge of the first letter is cut
    width = max([bar.width, *(math.ceil(2 * em + face.getlength(row)) for row in rows)])
    sheet = Image.new("RGB", (width, bar.height + line * len(rows)), PAPER)
    pen, y = ImageDraw.Draw(sheet), 0
    if scale.title:
        pen.text((indent, line / 2), scale.title, fill=INK, font=face, anchor="lm")
        y += line
    sheet.paste(bar, (0, y))
    if scale.unknown:
        middle = round(y + bar.height + line / 2)
        top = middle - em // 2
        pen.rectangle((0, top, em - 1, top + em - 1), fill=GREY, outline=EDGE)
        pen.text((1.5 * em, middle), scale.unknown, fill=INK, font=face, anchor="lm")
    return sheet


def _upright(scale: Scale, room: int, face: ImageFont.FreeTypeFont) -> Image.Image:
    """An upright bar with low numbers at the bottom, written at the right."""
    line, em = line_of(face), round(face.size)
    length = max(room, 7 * line)
    labels = _labels(scale, length // (2 * line))
    margin = line // 2  # so that no number is cut at the ends
    width = math.ceil(max(face.getlength(label) for _, label in labels))
    sheet = Image.new("RGB", (em + em // 2 + width + em // 2, length), PAPER)
    sheet.paste(_strip(scale, length - 2 * margin, em).transpose(Image.Transpose.ROTATE_90), (0, margin))
    pen = ImageDraw.Draw(sheet)
    for share, label in labels:
        y = length - margin - 1 - round((length - 2 * margin - 1) * share)
        pen.line((em, y, em + em // 4, y), fill=INK, width=max(1, em // 14))
        pen.text((em + em // 2, y), label, fill=INK, font=face, anchor="lm")
    return sheet


def _lying(scale: Scale, room: int, face: ImageFont.FreeTypeFont) -> Image.Image:
    """A lying bar with low numbers at the left, written below."""
    line, em = line_of(face), round(face.size)
    length = max(room, 24 * em)
    labels = _labels(scale, length // (6 * em))
    margin = math.ceil(max(face.getlength(label) for _, label in labels) / 2)
    sheet = Image.new("RGB", (length, em + em // 4 + line), PAPER)
    sheet.paste(_strip(scale, length - 2 * margin, em), (margin, 0))
    pen = ImageDraw.Draw(sheet)
    for share, label in labels:
        x = margin + round((length - 2 * margin - 1) * share)
        pen.line((x, em, x, em + em // 4), fill=INK, width=max(1, em // 14))
        pen.text((x, em + em // 4 + line / 2), label, fill=INK, font=face, anchor="mm")
    return sheet


def _labels(scale: Scale, room: int) -> list[tuple[float, str]]:
    """Positions along the bar (0 to 1) and the numbers written there, about ``room`` of them."""
    numbers, decimals = ticks(scale.low, scale.high, min(9, max(5, room)))
    span = scale.high - scale.low
    texts = [f"{number:.{decimals}f}" if abs(number) < 1e6 else f"{number:.3g}" for number in numbers]
    shares = [(number - scale.low) / span if span > 0 else 0.5 for number in numbers]
    return [(share, f"{text} {scale.unit}".rstrip()) for share, text in zip(shares, texts, strict=True)]


def _strip(scale: Scale, length: int, width: int) -> Image.Image:
    """The colours from the low to the high end, left to right; an end with numbers beyond it is pointed."""
    along = scale.paint(np.linspace(scale.low, scale.high, length))
    pixels = np.repeat(along[None], width, axis=0)
    slope = np.abs(np.arange(width) - (width - 1) / 2)[:, None]  # the middle row reaches farthest
    place = np.arange(length)[None]
    if scale.below:
        pixels[place < slope] = PAPER
    if scale.above:
        pixels[length - 1 - place < slope] = PAPER
    return Image.fromarray(pixels)


def _exponent(value: float) -> int:
    return math.floor(math.log10(abs(value)))
