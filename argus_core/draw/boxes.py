"""Boxes with class names and scores."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from argus_core.draw.palette import Color, Pixels, class_color, ink_on
from argus_core.draw.tags import Rectangle, place_tags
from argus_core.draw.text import fit, font_for
from argus_core.draw.values import as_array, checked
from argus_core.errors import ArgusError
from argus_core.tasks.detect import Boxes, Detections


@dataclass(frozen=True)
class _Item:
    """A box in whole pixels, and what is written at it."""

    box: Rectangle
    text: str
    color: Color


def draw_boxes(image: Pixels, found: Detections | Boxes, classes: Sequence[str]) -> Pixels:
    """A copy of an RGB image (h, w, 3) with boxes in its pixels; scores are shown where there are any.

    Names stand inside the picture, where they hide least of each other; the best detections choose first. An image
    too low for four names gets none. Raises ArgusError for a label without a name and for boxes that are not finite.
    """
    picture = Image.fromarray(checked(image))
    items = _best_first(found, classes, picture.size)
    face, pen = font_for((picture.height, picture.width)), ImageDraw.Draw(picture)
    for item in reversed(items):
        x1, y1, x2, y2 = item.box
        pen.rectangle((x1, y1, x2 - 1, y2 - 1), outline=item.color, width=max(1, round(face.size / 7)))
    _write_tags(pen, items, (picture.height, picture.width), face)
    return np.array(picture)


def _best_first(found: Detections | Boxes, classes: Sequence[str], size: tuple[int, int]) -> list[_Item]:
    """What to draw on a picture of ``size`` (width, height)."""
    boxes, labels = as_array(found.boxes).astype(np.float64).reshape(-1, 4), as_array(found.labels).astype(int).tolist()
    for place, (box, label) in enumerate(zip(boxes, labels, strict=True)):
        if not np.isfinite(box).all():
            raise ArgusError(f"box {place}, {box.tolist()}, is not finite and cannot be drawn")
        if not 0 <= label < len(classes):
            raise ArgusError(f"box {place} has label {label}, but there are {len(classes)} class names; give all names")
    texts, order = [classes[label] for label in labels], np.arange(len(labels))
    if isinstance(found, Detections):
        scores = as_array(found.scores)
        texts = [f"{text} {score:.2f}" for text, score in zip(texts, scores, strict=True)]
        order = np.argsort(-scores, kind="stable")
    whole = _whole_pixels(boxes, size)
    return [_Item(whole[place], texts[place], class_color(labels[place])) for place in order]


def _whole_pixels(boxes: npt.NDArray[np.float64], size: tuple[int, int]) -> list[Rectangle]:
    """The pixels that boxes touch, at least one each, within a picture of ``size`` (width, height)."""
    first = np.clip(np.floor(boxes[:, :2]), 0, np.array(size) - 1)
    last = np.clip(np.ceil(boxes[:, 2:]), first + 1, size)
    return [(x1, y1, x2, y2) for x1, y1, x2, y2 in np.concatenate([first, last], axis=1).astype(int).tolist()]


def _write_tags(
    pen: ImageDraw.ImageDraw, items: Sequence[_Item], size: tuple[int, int], face: ImageFont.FreeTypeFont
) -> None:
    """Names on the colours of their boxes; the first, which are the best, on top."""
    height, margin = round(1.25 * face.size), round(face.size / 4)
    fitted = [replace(item, text=fit(item.text, face, size[1] - 2 * margin)) for item in items]
    shown = [item for item in fitted if item.text and 4 * height <= size[0]]
    tags = [(height, min(size[1], math.ceil(face.getlength(item.text)) + 2 * margin)) for item in shown]
    places = place_tags([item.box for item in shown], tags, size)
    for item, (x1, y1, x2, y2) in reversed(list(zip(shown, places, strict=True))):
        pen.rectangle((x1, y1, x2 - 1, y2 - 1), fill=item.color)
        pen.text((x1 + margin, (y1 + y2) / 2), item.text, fill=ink_on(item.color), font=face, anchor="lm")
