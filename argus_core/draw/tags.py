"""Where the names of boxes go, so that each can be read and hides little; those for which there is no place go."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

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
