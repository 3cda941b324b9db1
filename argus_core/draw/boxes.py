"""Boxes with class names and scores."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torchvision.ops import box_iou, nms

from argus_core.draw.inputs import as_array, checked
from argus_core.draw.palette import Color, Pixels, class_color, ink_on
from argus_core.draw.panel import enlarged
from argus_core.draw.text import fit, font_for, length, write
from argus_core.errors import ArgusError

Rectangle = tuple[int, int, int, int]
"""Pixels x1, y1, x2, y2; the last ones are not part of it."""
HIDDEN = 0.3
"""The share of a box that tags may hide."""
COVERED = 0.12
"""The share of a picture that its tags may hide together."""


def place_tags(
    boxes: Sequence[Rectangle], tags: Sequence[tuple[int, int] | None], size: tuple[int, int]
) -> list[Rectangle | None]:
    """For each box a place for its tag of (height, width) pixels in a picture of ``size`` (height, width), or None.

    The first boxes choose first: above the box at its left, or the next place inside the picture that touches no tag
    and hides little of any box. Where there is none, and once the tags hide an eighth of the picture, there is no tag.
    """
    every, placed = np.array(boxes, dtype=np.float64).reshape(-1, 4), np.zeros((0, 4))
    left = HIDDEN * (every[:, 2:] - every[:, :2]).prod(axis=1)  # pixels of each box that may still be hidden
    room, places = COVERED * size[0] * size[1], list[Rectangle | None]()
    for box, tag in zip(boxes, tags, strict=True):
        options = list(_options(box, tag, size)) if tag and tag[0] * tag[1] <= room else []
        free = _crossing(options, placed).sum(axis=1) == 0
        hides = _crossing(options, every)
        best = next(iter(np.flatnonzero(free & (hides <= left).all(axis=1))), None)
        places.append(None if best is None else options[best])
        if tag and best is not None:
            placed = np.concatenate([placed, [options[best]]])
            left, room = left - hides[best], room - tag[0] * tag[1]
    return places


def _options(box: Rectangle, tag: tuple[int, int], size: tuple[int, int]) -> Iterator[Rectangle]:
    """Above, inside, below, each at the left and the right, from the usual to the unusual."""
    height, width = tag
    above, top, bottom, below = box[1] - height, box[1], box[3] - height, box[3]
    for y in (above, top, below, bottom):
        for x in (box[0], box[2] - width):
            left = min(max(x, 0), size[1] - width)
            if 0 <= y <= size[0] - height and left >= 0:
                yield left, y, left + width, y + height


def _crossing(options: Sequence[Rectangle], others: np.ndarray) -> np.ndarray:
    """(O, N): how many pixels of the rectangles (N, 4) each option covers."""
    tried = np.array(options, dtype=np.float64).reshape(-1, 4)
    first = np.maximum(tried[:, None, :2], others[None, :, :2])
    last = np.minimum(tried[:, None, 2:], others[None, :, 2:])
    return np.clip(last - first, 0, None).prod(axis=2)


OVERLAP = 0.5
"""The IoU above which the better of two detections is drawn alone, whatever their classes."""
SAME = 0.3
"""The IoU above which two detections are taken for one object, which gets one name."""
NAME_EMS = 13
"""Room for a name, in font sizes; that of a wider box has as much as the box."""


@dataclass(frozen=True)
class _Item:
    """A box in whole pixels, and what is written at it."""

    box: Rectangle
    name: str
    score: str
    color: Color


Values: TypeAlias = "npt.NDArray[Any] | Tensor"


class LabelledBoxes(Protocol):
    """Boxes (n, 4) as corners in pixels with their class labels (n,), and possibly ``scores`` (n,) in 0..1."""

    @property
    def boxes(self) -> Values: ...

    @property
    def labels(self) -> Values: ...


def draw_boxes(image: Pixels, found: LabelledBoxes, classes: Sequence[str], overlap: float | None = OVERLAP) -> Pixels:
    """A copy of an RGB image (h, w, 3) with boxes in its pixels; scores are shown where there are any.

    Of detections that overlap by an IoU above ``overlap`` only the best is drawn, whatever their classes; None draws
    all, as annotated boxes always are. Names stand where they hide nothing that matters, the best first; the others
    have their colours. Small images are enlarged by a whole number. Raises ArgusError for a label without a name and
    for boxes that are not finite.
    """
    _check(found, classes, overlap)
    big, factor = enlarged(checked(image))
    picture = Image.fromarray(big)
    items, named = _best_first(found, classes, picture.size, factor, overlap)
    face, pen = font_for((picture.height, picture.width)), ImageDraw.Draw(picture)
    for item in reversed(items):
        x1, y1, x2, y2 = item.box
        pen.rectangle((x1, y1, x2 - 1, y2 - 1), outline=item.color, width=max(1, round(face.size / 7)))
    _write_tags(pen, items, named, (picture.height, picture.width), face)
    return np.array(picture)


def _check(found: LabelledBoxes, classes: Sequence[str], overlap: float | None) -> None:
    if overlap is not None and not 0 <= overlap <= 1:
        raise ArgusError(f"overlap {overlap} is no IoU; give a number within 0..1, or None to draw all boxes")
    labels = as_array(found.labels).astype(int).tolist()
    for place, (box, label) in enumerate(zip(_corners(found.boxes), labels, strict=True)):
        if not np.isfinite(box).all():
            raise ArgusError(f"box {place}, {box.tolist()}, is not finite and cannot be drawn")
        if not 0 <= label < len(classes):
            raise ArgusError(f"box {place} has label {label}, but there are {len(classes)} class names; give all names")


def _best_first(
    found: LabelledBoxes, classes: Sequence[str], size: tuple[int, int], factor: int, overlap: float | None
) -> tuple[list[_Item], list[bool]]:
    """What to draw on a picture of ``size`` (width, height), and which of it may be named."""
    labels = as_array(found.labels).astype(int).tolist()
    corners, scores, order = _corners(found.boxes) * factor, [""] * len(labels), list(range(len(labels)))
    named = [True] * len(order)
    if (values := getattr(found, "scores", None)) is not None:
        scores = [f"{value:.2f}" for value in as_array(values)]
        order = drawn(found.boxes, values, overlap)
        named = _one_each(corners[order])
    whole = _whole_pixels(corners, size)
    return [_Item(whole[k], classes[labels[k]], scores[k], class_color(labels[k])) for k in order], named


def _corners(boxes: Values) -> npt.NDArray[np.float64]:
    return as_array(boxes).astype(np.float64).reshape(-1, 4)


def drawn(boxes: Values, scores: Values, overlap: float | None = OVERLAP) -> list[int]:
    """The places of the scored boxes that ``draw_boxes`` draws, best first."""
    values = torch.as_tensor(as_array(scores).astype(np.float64))
    if overlap is None:
        return [int(place) for place in values.argsort(descending=True, stable=True)]
    return [int(place) for place in nms(torch.from_numpy(_corners(boxes)), values, overlap)]


def _one_each(boxes: npt.NDArray[np.float64]) -> list[bool]:
    """Whether each box, best first, is the first of its object."""
    alike = box_iou(*[torch.from_numpy(boxes)] * 2).numpy() > SAME
    named: list[bool] = []
    for row in alike:
        named.append(not (row[: len(named)] & np.array(named, dtype=bool)).any())
    return named


def _whole_pixels(boxes: npt.NDArray[np.float64], size: tuple[int, int]) -> list[Rectangle]:
    """The pixels that boxes touch, at least one each, within a picture of ``size`` (width, height)."""
    first = np.clip(np.floor(boxes[:, :2]), 0, np.array(size) - 1)
    last = np.clip(np.ceil(boxes[:, 2:]), first + 1, size)
    return [(x1, y1, x2, y2) for x1, y1, x2, y2 in np.concatenate([first, last], axis=1).astype(int).tolist()]


def _write_tags(
    pen: ImageDraw.ImageDraw,
    items: Sequence[_Item],
    named: Sequence[bool],
    size: tuple[int, int],
    face: ImageFont.FreeTypeFont,
) -> None:
    """Names on the colours of their boxes, as many as can be read."""
    height, margin = round(1.25 * face.size), round(face.size / 4)
    legible = 4 * height <= size[0]
    texts = [
        _text(item, face, size[1] - 2 * margin) if legible and each else ""
        for item, each in zip(items, named, strict=True)
    ]
    tags = [(height, math.ceil(length(text, face)) + 2 * margin) if text else None for text in texts]
    for item, text, place in zip(items, texts, place_tags([item.box for item in items], tags, size), strict=True):
        if place is not None:
            x1, y1, x2, y2 = place
            pen.rectangle((x1, y1, x2 - 1, y2 - 1), fill=item.color)
            write(pen, (x1 + margin, (y1 + y2) / 2), text, face, fill=ink_on(item.color), anchor="lm")


def _text(item: _Item, face: ImageFont.FreeTypeFont, most: float) -> str:
    """The name, cut to its room, and the score."""
    score = f" {item.score}" if item.score else ""
    room = min(most, max(NAME_EMS * face.size, item.box[2] - item.box[0]))
    name = fit(item.name, face, room - length(score, face))
    return f"{name}{score}" if name else ""
