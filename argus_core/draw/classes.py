"""The classes of an image, written below it."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from argus_core.draw.inputs import checked
from argus_core.draw.palette import Color, Pixels
from argus_core.draw.panel import INK, PAPER, attach, enlarged, size_of
from argus_core.draw.text import fit, font_for, length, line_of, plain, write

BAR: Color = (47, 126, 216)
TRACK: Color = (228, 232, 238)
LEAST_EMS = 16
"""Room for a row, in font sizes; a narrower image is extended with paper."""


def draw_classes(image: Pixels, scores: Sequence[tuple[str, float]]) -> Pixels:
    """An RGB image (h, w, 3) with a row for each class below it: its name, a bar, its score.

    Bars are full at 1 and empty at 0. A small image is enlarged by a whole number. Without classes nothing is added.
    """
    picture, _ = enlarged(checked(image))
    if not scores:
        return picture
    face = font_for(size_of(picture))
    return attach(picture, score_rows(scores, picture.shape[1], face), face.size / 3, below=True)


def score_rows(
    scores: Sequence[tuple[str, float]], room: int, face: ImageFont.FreeTypeFont, steady: bool = False
) -> Image.Image:
    """A panel of classes, ``room`` pixels wide, or wider if it has to be.

    If it is ``steady``, bars start and end at the same places whatever the names and scores.
    """
    em, width = round(face.size), max(room, round(LEAST_EMS * face.size))
    names = (
        min(0.4 * width, LEAST_EMS * face.size)
        if steady
        else min(0.5 * width, max(length(plain(name), face) for name, _ in scores))
    )
    texts = [f"{score:.2f}" for _, score in scores]
    digits = face.getlength("0.00") if steady else max(face.getlength(text) for text in texts)
    start, end = 1.5 * em + names, width - em - digits
    strip = Image.new("RGB", (width, line_of(face) * len(scores)), PAPER)
    pen = ImageDraw.Draw(strip)
    for row, ((name, score), text) in enumerate(zip(scores, texts, strict=True)):
        middle = (row + 0.5) * line_of(face)
        write(pen, (em / 2, middle), fit(name, face, names), face, fill=INK, anchor="lm")
        for color, share in ((TRACK, 1.0), (BAR, min(1.0, max(0.0, score)))):
            if share * (end - start) >= 0.5:
                pen.rectangle((start, middle - 0.35 * em, start + share * (end - start), middle + 0.35 * em), color)
        write(pen, (width - em / 2, middle), text, face, fill=INK, anchor="rm")
    return strip
