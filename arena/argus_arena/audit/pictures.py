"""Small pictures of what was found, for the page; none of images that cannot be read."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from argus_arena.audit.findings import Finding
from argus_arena.audit.masks import Corners
from argus_arena.audit.opened import Opened
from argus_core.data.split import guarded
from argus_core.draw.palette import Color
from argus_core.errors import ArgusError
from argus_core.tasks.detect import Boxes

Pixels = npt.NDArray[np.uint8]
SIDE, SMALL = 220, 64
"""Pixels of the longer side of a picture, and of one on the map."""
QUALITY = 72
ROOM = 3.0
"""Sides of a box that a picture of it shows, so that its surroundings are seen."""
LEAST = 96
"""Pixels of the image that a picture of a box shows at least."""
GIVEN: Color = (227, 73, 72)
PROPOSED: Color = (27, 175, 122)
OTHERS: Color = (160, 160, 160)


class Pictures:
    """Pictures of images by their number, as data addresses; what cannot be read is counted in ``unread``."""

    def __init__(self, opened: Opened) -> None:
        self.opened, self.unread = opened, 0

    def whole(self, number: int, side: int = SIDE) -> str | None:
        """The image; None if it cannot be read."""
        return self._drawn(number, lambda image: _shrunk(image, side))

    def marked(self, one: Finding) -> str | None:
        """The surroundings of a doubtful box or region with both drawn in, or the whole image."""
        if one.box is None and one.proposed is None:
            return self.whole(one.number)
        return self._drawn(one.number, lambda image: _marked(image, one, self._others(one)))

    def _drawn(self, number: int, draw: Callable[[Image.Image], Image.Image]) -> str | None:
        split = self.opened.part(number).split
        if split is None:
            return None
        try:
            with guarded(split):
                image = split.read(int(self.opened.places[number, 1]))
            return as_address(draw(Image.fromarray(image)))
        except (ArgusError, OSError):
            self.unread += 1
            return None

    def _others(self, one: Finding) -> list[Corners]:
        """The other annotated boxes of the image, where the finding is a box."""
        split = self.opened.part(one.number).split
        if split is None or "box" not in one.kind:
            return []
        truth: Boxes = split.truth(int(self.opened.places[one.number, 1]), "detect")
        boxes = [(x1, y1, x2, y2) for x1, y1, x2, y2 in truth.boxes.tolist()]
        return [box for box in boxes if box != one.box]


def as_address(picture: Image.Image) -> str:
    """A data address with the picture as WebP."""
    out = io.BytesIO()
    picture.convert("RGB").save(out, format="WEBP", quality=QUALITY)
    return f"data:image/webp;base64,{base64.b64encode(out.getvalue()).decode()}"


def _shrunk(image: Image.Image, side: int) -> Image.Image:
    scale = min(1.0, side / max(image.size))
    return image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))), reducing_gap=3)


def _marked(image: Image.Image, one: Finding, others: Sequence[Corners]) -> Image.Image:
    view = surroundings([box for box in (one.box, one.proposed) if box is not None], image.size)
    scale = SIDE / max(view[2] - view[0], view[3] - view[1])
    size = (max(1, round((view[2] - view[0]) * scale)), max(1, round((view[3] - view[1]) * scale)))
    picture = image.crop(view).resize(size, Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(picture, "RGBA")
    for cell in one.cells:
        pen.rectangle(_moved(cell, view, scale), fill=(*GIVEN, 90))
    for box in others:
        pen.rectangle(_moved(box, view, scale), outline=OTHERS)
    if one.box is not None and not one.cells:
        pen.rectangle(_moved(one.box, view, scale), outline=GIVEN, width=2)
    if one.proposed is not None:
        pen.rectangle(_moved(one.proposed, view, scale), outline=PROPOSED, width=2)
    return picture


def surroundings(boxes: Sequence[Corners], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The part of an image of ``size`` (width, height) that shows some boxes with room around them."""
    low, high = np.min(boxes, axis=0)[:2], np.max(boxes, axis=0)[2:]
    side = max(float((high - low).max()) * ROOM, LEAST)
    half = np.minimum(side, size) / 2
    middle = np.clip((low + high) / 2, half, np.array(size) - half)
    x1, y1 = np.floor(middle - half).astype(int).tolist()
    x2, y2 = np.ceil(middle + half).astype(int).tolist()
    return x1, y1, min(max(x2, x1 + 1), size[0]), min(max(y2, y1 + 1), size[1])


def _moved(box: Corners, view: tuple[int, int, int, int], scale: float) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = ((side - start) * scale for side, start in zip(box, (*view[:2], *view[:2]), strict=True))
    return x1, y1, max(x2 - 1, x1), max(y2 - 1, y1)
