"""Boxes with class names and scores."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageDraw, ImageFont
from torchvision.ops import box_iou, nms

from argus_core.draw.inputs import Values, as_array, checked
from argus_core.draw.palette import GREY, Color, Pixels, class_color, ink_on
from argus_core.draw.panel import enlarged
from argus_core.draw.text import fit, font_for, length, write
from argus_core.errors import ArgusError

Corners = npt.NDArray[np.float64]
Rectangle = tuple[int, int, int, int]
"""Pixels x1, y1, x2, y2; the last ones are not part of it."""
OVERLAP = 0.5
"""The IoU above which only the better of two detections is drawn, whatever their classes."""
SAME = 0.3
"""The IoU above which two detections are considered one object, which gets one name."""
NAME_EMS = 13
"""Room for a name, in font sizes; a wider box has as much as its width."""
HIDDEN = 0.3
"""The share of a box that tags may hide."""
COVERED = 0.12
"""The share of a picture that its tags may hide together."""


class LabelledBoxes(Protocol):
    """Boxes (n, 4) as corners in pixels with their class labels (n,), and possibly ``scores`` (n,) in 0..1."""

    @property
    def boxes(self) -> Values: ...

    @property
    def labels(self) -> Values: ...


@dataclass(frozen=True)
class _Item:
    """A box in whole pixels, and the text and colour of its tag; ``named`` is false for a repeated object."""

    box: Rectangle
    name: str
    score: str
    color: Color
    named: bool


def draw_boxes(
    image: Pixels,
    objects: LabelledBoxes,
    classes: Sequence[str],
    overlap: float | None = OVERLAP,
    tracks: Values | None = None,
) -> Pixels:
    """A copy of an RGB image (h, w, 3) with boxes in its pixels, and with scores if there are any.

    Of detections that overlap by an IoU above ``overlap`` only the best is drawn, whatever their classes; None draws
    all, as annotated boxes always are. Names are placed where they hide little, the best detections first; boxes
    without a name have the colour of their class. With ``tracks`` (n,), the ids of identities, each has a colour of
    its own, and all are drawn; boxes of -1 are grey, and left out where they overlap another one. Small images are
    enlarged by a whole number. Raises ArgusError for a label without a name and for boxes that are not finite.
    """
    _check(objects, classes, overlap)
    big, factor = enlarged(checked(image))
    picture = Image.fromarray(big)
    ids = None if tracks is None else as_array(tracks).astype(int)
    items = _best_first(objects, classes, picture.size, factor, overlap, ids)
    face, pen = font_for((picture.height, picture.width)), ImageDraw.Draw(picture)
    for item in reversed(items):
        x1, y1, x2, y2 = item.box
        pen.rectangle((x1, y1, x2 - 1, y2 - 1), outline=item.color, width=max(1, round(face.size / 7)))
    _write_tags(pen, items, (picture.height, picture.width), face)
    return np.array(picture)


def drawn(
    boxes: Values, scores: Values, overlap: float | None = OVERLAP, tracks: npt.NDArray[np.int_] | None = None
) -> list[int]:
    """The indices of the scored boxes that ``draw_boxes`` draws, best first."""
    values = torch.as_tensor(as_array(scores).astype(np.float64))
    order = [int(index) for index in values.argsort(descending=True, stable=True)]
    if tracks is not None:
        shared = box_iou(*[torch.from_numpy(_corners(boxes))] * 2).numpy()
        again = (shared[:, tracks >= 0] > OVERLAP).any(axis=1)
        return [index for index in order if tracks[index] >= 0 or not again[index]]
    if overlap is None:
        return order
    return [int(index) for index in nms(torch.from_numpy(_corners(boxes)), values, overlap)]


def _check(objects: LabelledBoxes, classes: Sequence[str], overlap: float | None) -> None:
    if overlap is not None and not 0 <= overlap <= 1:
        raise ArgusError(f"overlap {overlap} is not an IoU; give a number within 0..1, or None to draw all boxes")
    labels = as_array(objects.labels).astype(int).tolist()
    for index, (box, label) in enumerate(zip(_corners(objects.boxes), labels, strict=True)):
        if not np.isfinite(box).all():
            raise ArgusError(f"box {index}, {box.tolist()}, is not finite and cannot be drawn")
        if not 0 <= label < len(classes):
            raise ArgusError(f"box {index} has label {label}, but there are {len(classes)} class names; give all names")


def _best_first(
    objects: LabelledBoxes,
    classes: Sequence[str],
    size: tuple[int, int],
    factor: int,
    overlap: float | None,
    tracks: npt.NDArray[np.int_] | None,
) -> list[_Item]:
    """What to draw on a picture of ``size`` (width, height) that was enlarged by ``factor``."""
    labels = as_array(objects.labels).astype(int).tolist()
    corners, scores, order = _corners(objects.boxes) * factor, [""] * len(labels), list(range(len(labels)))
    named = [True] * len(order)
    if (values := getattr(objects, "scores", None)) is not None:
        scores = [f"{value:.2f}" for value in as_array(values)]
        order = drawn(objects.boxes, values, overlap, tracks)
        named = _first_of_object(corners[order]) if tracks is None else (tracks[order] >= 0).tolist()
    boxes, looks = _whole_pixels(corners, size), _looks(labels, classes, tracks)
    return [
        _Item(boxes[index], looks[index][0], scores[index], looks[index][1], is_named)
        for index, is_named in zip(order, named, strict=True)
    ]


def _looks(
    labels: Sequence[int], classes: Sequence[str], tracks: npt.NDArray[np.int_] | None
) -> list[tuple[str, Color]]:
    """The name and the colour of each box: those of its class, or of its identity."""
    if tracks is None:
        return [(classes[label], class_color(label)) for label in labels]
    return [
        (f"{classes[label]} #{track}", class_color(track - 1) if track >= 0 else GREY)
        for label, track in zip(labels, tracks.tolist(), strict=True)
    ]


def _corners(boxes: Values) -> Corners:
    return as_array(boxes).astype(np.float64).reshape(-1, 4)


def _first_of_object(boxes: Corners) -> list[bool]:
    """Whether each box, best first, is the first of its object."""
    named: list[bool] = []
    for similar in box_iou(*[torch.from_numpy(boxes)] * 2).numpy() > SAME:
        named.append(not (similar[: len(named)] & np.array(named, dtype=bool)).any())
    return named


def _whole_pixels(boxes: Corners, size: tuple[int, int]) -> list[Rectangle]:
    """The pixels that boxes touch, at least one each, within a picture of ``size`` (width, height)."""
    first = np.clip(np.floor(boxes[:, :2]), 0, np.array(size) - 1)
    last = np.clip(np.ceil(boxes[:, 2:]), first + 1, size)
    return [(x1, y1, x2, y2) for x1, y1, x2, y2 in np.concatenate([first, last], axis=1).astype(int).tolist()]


def _write_tags(
    pen: ImageDraw.ImageDraw, items: Sequence[_Item], size: tuple[int, int], face: ImageFont.FreeTypeFont
) -> None:
    """Write names on the colours of their boxes, as many as can be read."""
    height, margin = round(1.25 * face.size), round(face.size / 4)
    legible = 4 * height <= size[0]
    texts = [_text(item, face, size[1] - 2 * margin) if legible and item.named else "" for item in items]
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


def place_tags(
    boxes: Sequence[Rectangle], tags: Sequence[tuple[int, int] | None], size: tuple[int, int]
) -> list[Rectangle | None]:
    """For each box a place for its tag of (height, width) pixels in a picture of ``size`` (height, width), or None.

    The first boxes choose first: above the box at its left, or the next place inside the picture that touches no tag
    and hides little of any box. There is no tag if there is no such place, or if tags hide an eighth of the picture.
    """
    every, placed = np.array(boxes, dtype=np.float64).reshape(-1, 4), np.zeros((0, 4))
    visible = HIDDEN * (every[:, 2:] - every[:, :2]).prod(axis=1)  # pixels of each box that may still be hidden
    room, places = COVERED * size[0] * size[1], list[Rectangle | None]()
    for box, tag in zip(boxes, tags, strict=True):
        options = list(_options(box, tag, size)) if tag and tag[0] * tag[1] <= room else []
        free = _crossing(options, placed).sum(axis=1) == 0
        hides = _crossing(options, every)
        best = next(iter(np.flatnonzero(free & (hides <= visible).all(axis=1))), None)
        places.append(None if best is None else options[best])
        if tag and best is not None:
            placed = np.concatenate([placed, [options[best]]])
            visible, room = visible - hides[best], room - tag[0] * tag[1]
    return places


def _options(box: Rectangle, tag: tuple[int, int], size: tuple[int, int]) -> Iterator[Rectangle]:
    """Places above, inside and below, each at the left and the right, the usual ones first."""
    height, width = tag
    for y in (box[1] - height, box[1], box[3], box[3] - height):
        for x in (box[0], box[2] - width):
            left = min(max(x, 0), size[1] - width)
            if 0 <= y <= size[0] - height and left >= 0:
                yield left, y, left + width, y + height


def _crossing(options: Sequence[Rectangle], others: Corners) -> Corners:
    """(O, N): how many pixels of the rectangles (N, 4) each option covers."""
    rectangles = np.array(options, dtype=np.float64).reshape(-1, 4)
    first = np.maximum(rectangles[:, None, :2], others[None, :, :2])
    last = np.minimum(rectangles[:, None, 2:], others[None, :, 2:])
    return np.clip(last - first, 0, None).prod(axis=2)
