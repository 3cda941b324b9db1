"""The classes of an image, written below it."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw

from argus_core.draw.palette import Color, Pixels
from argus_core.draw.panel import INK, PAPER, attach
from argus_core.draw.text import fit, font_for, line_of, plain
from argus_core.draw.values import checked

BAR: Color = (47, 126, 216)
TRACK: Color = (228, 232, 238)
LEAST_EMS = 16
"""Room for a row, in font sizes; a narrower image gets paper beside it."""


def draw_classes(image: Pixels, scores: Sequence[tuple[str, float]]) -> Pixels:
    """An RGB image (h, w, 3) with a row for each class below it: its name, a bar, its score.

    Bars are full at 1 and empty at 0. Without classes the image comes back as it was.
    """
    if not scores:
        return checked(image).copy()
    face = font_for(checked(image).shape[:2])
    em, width = round(face.size), max(image.shape[1], round(LEAST_EMS * face.size))
    names = min(0.5 * width, max(face.getlength(plain(name)) for name, _ in scores))
    texts = [f"{score:.3f}" for _, score in scores]
    start, end = 1.5 * em + names, width - em - max(face.getlength(text) for text in texts)
    strip = Image.new("RGB", (width, line_of(face) * len(scores)), PAPER)
    pen = ImageDraw.Draw(strip)
    for row, ((name, score), text) in enumerate(zip(scores, texts, strict=True)):
        middle = (row + 0.5) * line_of(face)
        pen.text((em / 2, middle), fit(name, face, names), fill=INK, font=face, anchor="lm")
        for color, share in ((TRACK, 1.0), (BAR, min(1.0, max(0.0, score)))):
            if share * (end - start) >= 0.5:
                pen.rectangle((start, middle - 0.35 * em, start + share * (end - start), middle + 0.35 * em), color)
        pen.text((width - em / 2, middle), text, fill=INK, font=face, anchor="rm")
    return attach(image, strip, em / 3, below=True)
