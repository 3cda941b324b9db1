"""Where the names of boxes go, so that each can be read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

Rectangle = tuple[int, int, int, int]
"""Pixels x1, y1, x2, y2; the last ones are not part of it."""


def place_tags(boxes: Sequence[Rectangle], tags: Sequence[tuple[int, int]], size: tuple[int, int]) -> list[Rectangle]:
    """For each box a place for its tag of (height, width) pixels, all of it in a picture of ``size`` (height, width).

    The first boxes choose first: above the box at its left where that is free, or where it hides least of the tags
    before. No tag may be larger than the picture.
    """
    placed = np.zeros((len(boxes), 4))
    for item, (box, tag) in enumerate(zip(boxes, tags, strict=True)):
        options = np.array(list(_options(box, tag, size)))
        placed[item] = options[_hidden(options, placed[:item]).argmin()]  # of equals the first
    return [(x1, y1, x2, y2) for x1, y1, x2, y2 in placed.astype(int).tolist()]


def _options(box: Rectangle, tag: tuple[int, int], size: tuple[int, int]) -> Iterator[Rectangle]:
    """Above, inside, below, each at the left and the right, from the usual to the unusual."""
    height, width = tag
    above, top, bottom, below = box[1] - height, box[1], box[3] - height, box[3]
    for y in (above, top, below, bottom):
        for x in (box[0], box[2] - width):
            left = min(max(x, 0), size[1] - width)
            if 0 <= y <= size[0] - height:
                yield left, y, left + width, y + height
    y = min(max(top, 0), size[0] - height)
    left = min(max(box[0], 0), size[1] - width)
    yield left, y, left + width, y + height


def _hidden(options: np.ndarray, placed: np.ndarray) -> np.ndarray:
    """(O,): how many pixels of the tags placed (N, 4) each option (O, 4) covers."""
    first = np.maximum(options[:, None, :2], placed[None, :, :2])
    last = np.minimum(options[:, None, 2:], placed[None, :, 2:])
    return np.clip(last - first, 0, None).prod(axis=2).sum(axis=1)
