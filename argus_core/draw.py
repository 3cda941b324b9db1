"""Pictures of predictions: boxes with class names and scores."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from argus_core.tasks.detect import Boxes, Detections

Pixels = npt.NDArray[np.uint8]


def class_color(label: int) -> tuple[int, int, int]:
    """A colour per class, well apart for neighbouring labels."""
    red, green, blue = colorsys.hsv_to_rgb(label * 0.618033988749895 % 1, 0.75, 0.95)
    return round(red * 255), round(green * 255), round(blue * 255)


def draw_boxes(image: Pixels, found: Detections | Boxes, classes: Sequence[str]) -> Pixels:
    """A copy of an RGB image (h, w, 3) with boxes in its pixels; scores are shown where there are any."""
    picture = Image.fromarray(image)
    pen = ImageDraw.Draw(picture)
    line = max(1, round(max(picture.size) / 320))
    font = ImageFont.load_default(size=max(10, round(max(picture.size) / 50)))
    scores = found.scores.tolist() if isinstance(found, Detections) else [None] * len(found.labels)
    for box, label, score in zip(found.boxes.tolist(), found.labels.tolist(), scores, strict=True):
        color = class_color(label)
        pen.rectangle(box, outline=color, width=line)
        text = classes[label] if score is None else f"{classes[label]} {score:.2f}"
        _label(pen, (box[0], box[1]), text, color, font)
    return np.asarray(picture)


def side_by_side(pictures: Sequence[Pixels], titles: Sequence[str]) -> Pixels:
    """Pictures of one height in a row, each under its title."""
    font = ImageFont.load_default(size=14)
    height = pictures[0].shape[0]
    out = Image.new("RGB", (sum(p.shape[1] + 4 for p in pictures) - 4, height + 20), (255, 255, 255))
    pen, x = ImageDraw.Draw(out), 0
    for picture, title in zip(pictures, titles, strict=True):
        out.paste(Image.fromarray(picture), (x, 20))
        pen.text((x + 2, 2), title, fill=(0, 0, 0), font=font)
        x += picture.shape[1] + 4
    return np.asarray(out)


def _label(
    pen: ImageDraw.ImageDraw,
    corner: tuple[float, float],
    text: str,
    color: tuple[int, int, int],
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
) -> None:
    left, top, right, bottom = pen.textbbox(corner, text, font=font)
    up = max(0.0, corner[1] - (bottom - top) - 2)
    pen.rectangle((left, up, right + 2, up + bottom - top + 2), fill=color)
    pen.text((left + 1, up - (top - corner[1])), text, fill=(255, 255, 255), font=font)
