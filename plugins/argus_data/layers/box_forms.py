"""The forms in which four numbers are a box, and which of them fits the boxes of a data set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from argus_core.errors import ArgusError

Form = Literal["xywh", "xyxy", "cxcywh", "xywhn", "xyxyn", "cxcywhn"]
FORMS: tuple[Form, ...] = ("xywh", "xyxy", "cxcywh", "xywhn", "xyxyn", "cxcywhn")
"""Left top corner and size, two corners, center and size, in pixels; with n as shares of the image's sides."""
SLACK = 0.01
"""Shares of an image's sides, and besides a pixel, by which careless boxes leave it."""
MISFITS = 0.1
"""From this share of boxes that do not fit their images on, another form is thought of."""

Numbers = npt.NDArray[np.float64]


def corners(values: Numbers, form: Form, sides: Numbers) -> Numbers:
    """x1, y1, x2, y2 in pixels (N, 4) of ``values`` (N, 4); ``sides`` (N, 2) are the images' widths and heights."""
    first, second = values[:, :2], values[:, 2:]
    base = form.removesuffix("n")
    if base == "xywh":
        second = first + second
    elif base == "cxcywh":
        first, second = first - second / 2, first + second / 2
    scale = sides if form.endswith("n") else np.ones_like(sides)
    return np.hstack([first * scale, second * scale])


def check_form(where: str, values: Numbers, sides: Numbers, form: Form, option: str) -> None:
    """Raise ArgusError, with counts, if boxes do not fit their images as ``form``, but do as another one.

    ``option`` is what the user gives to choose a form, as in ``boxes``.
    """
    wrong = {other: ~_fits(values, sides, other) for other in FORMS}
    count, bad = len(values), int(wrong[form].sum())
    best = min(int(misfits.sum()) for misfits in wrong.values())
    if not count or bad < max(1, MISFITS * count) or best * 2 > bad:
        return
    first = int(np.flatnonzero(wrong[form])[0])
    width, height = sides[first]
    better = [other for other in FORMS if wrong[other].sum() == best]
    fit = f"{'all' if not best else count - best} do as {' or '.join(better)}"
    remedy = f"add {option}={better[0]}" if len(better) == 1 else f"say which they are, as in {option}={better[0]}"
    raise ArgusError(
        f"{where}: {bad} of {count} boxes do not fit their images as {form}, such as "
        f"{_short(values[first])} in an image {width:g} wide and {height:g} high; {fit}: {remedy} "
        f"({option}={form} keeps them as they are)"
    )


def _fits(values: Numbers, sides: Numbers, form: Form) -> npt.NDArray[np.bool_]:
    """Which boxes have an area and lie in their images, up to carelessness."""
    boxes, slack = corners(values, form, sides), 1 + SLACK * sides
    inside = (boxes[:, :2] >= -slack) & (boxes[:, 2:] <= sides + slack) & (boxes[:, :2] < boxes[:, 2:])
    # Nobody marks a part of the first pixel, and shares do not exceed 1.
    shares = np.all(np.abs(values) <= 1 + SLACK, axis=1)
    fits: npt.NDArray[np.bool_] = np.all(inside, axis=1) & (shares if form.endswith("n") else ~shares)
    return fits


def _short(values: Sequence[float] | Numbers) -> list[float]:
    return [round(float(value), 3) for value in values]
