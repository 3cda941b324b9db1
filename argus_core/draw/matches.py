"""Matching points of two images."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFont

from argus_core.draw.inputs import Values, as_array, as_points, checked
from argus_core.draw.legend import Entry, attach_legend, legend
from argus_core.draw.palette import COLORS, GREY, Color, Pixels, class_colors
from argus_core.draw.panel import PAPER, attach, factor_for, resized
from argus_core.draw.scale import Scale, attach_scale
from argus_core.draw.strokes import strokes
from argus_core.draw.text import font_for
from argus_core.errors import ArgusError

RIGHT: Color = (66, 205, 100)
WRONG: Color = (226, 40, 60)
FAINT = 0.25
"""The share of its opacity that a match has which does not lead back."""
Array = npt.NDArray[Any]


def draw_matches(
    image_a: Pixels,
    image_b: Pixels,
    points_a: Values,
    points_b: Values,
    scores: Values | None = None,
    right: Values | None = None,
    mutual: Values | None = None,
) -> Pixels:
    """Two RGB images side by side, small ones enlarged, with lines between their points (N, 2) x, y.

    Colours show which matches are ``right`` (N,), or else the ``scores`` (N,), or else only separate the matches; a
    legend below explains them. The best scores are on top. Lines of matches that are not ``mutual`` (N,) are faint, and
    a point whose match is nan is a grey dot. Raises ArgusError if the numbers of points, scores and answers differ.
    """
    starts, ends = as_points(points_a, "points of the first image"), as_points(points_b, "points of the second image")
    values, answers, back = (None if item is None else as_array(item).reshape(-1) for item in (scores, right, mutual))
    counts = [len(array) for array in (starts, ends, values, answers, back) if array is not None]
    if len(set(counts)) > 1:
        raise ArgusError(f"every match needs a point in both images, a score and an answer if any: given are {counts}")
    whole: Array = np.isfinite(np.concatenate([starts, ends], axis=1)).all(axis=1)
    sheet, spots = _join(checked(image_a), checked(image_b))
    scale = None if values is None or answers is not None else _score_scale(values[whole])
    colors = _colors(whole, values, scale, answers)
    ranks = np.zeros(len(whole)) if values is None else np.where(whole & np.isfinite(values), values, -np.inf)
    order = np.argsort(ranks, kind="stable")
    starts, ends = (points * zoom + corner for points, (zoom, corner) in zip((starts, ends), spots, strict=True))
    strength = np.ones(len(whole)) if back is None else np.where(back.astype(bool), 1.0, FAINT)
    _draw(sheet, starts[order], ends[order], colors[order], strength[order])
    picture = _caption(np.array(sheet), whole, scale, answers)
    face = font_for((sheet.height, sheet.width))
    return picture if back is None else _count_mutual(picture, whole, back.astype(bool), face)


def _join(image_a: Pixels, image_b: Pixels) -> tuple[Image.Image, list[tuple[Array, Array]]]:
    """Both images on one sheet, and for each the factor and the offset (x, y) of its points on the sheet.

    Each image is enlarged to fit the larger height and the larger width of the two, and both by a whole number if they
    are small.
    """
    shapes = [np.array((image.shape[1], image.shape[0])) for image in (image_a, image_b)]
    most = np.maximum(*shapes)
    most = most * factor_for((most[1], most[0]))
    sizes = [np.rint(shape * (most / shape).min()).astype(int) for shape in shapes]
    gap = max(4, round(font_for((most[1], most[0])).size / 2))
    sheet = Image.new("RGB", (int(sizes[0][0] + gap + sizes[1][0]), int(max(sizes[0][1], sizes[1][1]))), PAPER)
    spots = []
    for image, size, left in zip((image_a, image_b), sizes, (0, sizes[0][0] + gap), strict=True):
        corner = np.array([left, (sheet.height - size[1]) // 2])
        sheet.paste(Image.fromarray(resized(image, (int(size[1]), int(size[0])))), tuple(corner.tolist()))
        spots.append((size / (image.shape[1], image.shape[0]), corner))
    return sheet, spots


def _score_scale(scores: Array) -> Scale:
    known = scores[np.isfinite(scores)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    return Scale(low, high, title="score")


def _colors(whole: Array, scores: Array | None, scale: Scale | None, right: Array | None) -> Pixels:
    """(N, 3): a colour for each match, grey where there is none or its score is not finite."""
    if right is not None:
        colors = np.where(right.astype(bool)[:, None], RIGHT, WRONG)
    elif scores is not None and scale is not None:
        finite = np.isfinite(scores)
        colors = scale.paint(np.where(finite, scores, scale.low))
        whole = whole & finite
    else:
        colors = class_colors()[np.arange(len(whole)) % COLORS]
    return np.where(whole[:, None], colors, GREY).astype(np.uint8)


def _draw(sheet: Image.Image, starts: Array, ends: Array, colors: Pixels, strength: Array) -> None:
    """Draw lines, and points over them; the more there are, the fainter the lines and the smaller the points."""
    unit = font_for((sheet.height, sheet.width)).size / 12 * min(1.0, (60 / (len(starts) + 1)) ** 0.25)
    opacity = min(0.9, max(0.3, 8 / (len(starts) + 1) ** 0.5))
    rows = [
        ((start[0], start[1]), (end[0], end[1]), (color[0], color[1], color[2]))
        for start, end, color in zip(starts.tolist(), ends.tolist(), colors.tolist(), strict=True)
    ]
    with strokes(sheet) as pen:
        for (start, end, color), share in zip(rows, strength.tolist(), strict=True):
            if np.isfinite((*start, *end)).all():
                pen.line(start, end, color, 2.6 * unit, share * opacity)
        for start, end, color in rows:
            for point in (start, end):
                if np.isfinite(point).all():
                    pen.dot(point, 3.4 * unit, color)


def _caption(picture: Pixels, whole: Array, scale: Scale | None, right: Array | None) -> Pixels:
    """The picture with an explanation of its colours below it."""
    if scale is not None:
        return attach_scale(picture, scale, below=True)
    entries = []
    if right is not None:
        good = right.astype(bool)
        entries = [Entry(RIGHT, "right", str((whole & good).sum())), Entry(WRONG, "wrong", str((whole & ~good).sum()))]
    if not whole.all():
        entries.append(Entry(GREY, "not matched", str((~whole).sum())))
    return attach_legend(picture, entries, below=True) if entries else picture


def _count_mutual(picture: Pixels, whole: Array, mutual: Array, face: ImageFont.FreeTypeFont) -> Pixels:
    """The picture with an explanation of its faint lines below it."""
    texts = f"strong: {(whole & mutual).sum()} lead back", f"faint: {(whole & ~mutual).sum()} do not"
    panel = legend([Entry(None, text) for text in texts], picture.shape[1], face, lying=True)
    return attach(picture, panel, face.size / 3, below=True)
