"""What tokens of kept images say: what is similar to a point, and their principal components."""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from argus_core.draw.features import components
from argus_core.errors import ArgusError
from argus_core.serve.look import Look


def similar(looks: Sequence[Look], point: tuple[float, float]) -> list[dict[str, Any]]:
    """For each image the cosines with the tokens at ``point`` (x, y pixels) of the first one, and its best match.

    Cosines are bytes from ``low`` to ``high`` that fill the ``window`` (x1, y1, x2, y2 pixels) of the image. The first
    image itself has no match. Raises ArgusError for a point that the model does not see.
    """
    first = looks[0]
    height, width = first.size
    if not (0 <= point[0] <= width and 0 <= point[1] <= height):  # also where it is not a number
        raise ArgusError(f"the point {point[0]:g}, {point[1]:g} is not in the image of {width}x{height} pixels")
    parts = [_heat(first, look, point) for look in looks]
    for part, look in zip(parts[1:], looks[1:], strict=True):
        found = first.described.match(look.described, np.array([point]))
        if not np.isfinite(found.scores[0]):
            raise ArgusError("the model does not see this place: its canvas cuts the border of the image off")
        part["best"] = {"point": found.points[0].tolist(), "score": float(found.scores[0])}
    return parts


def principal(looks: Sequence[Look], layer: int) -> list[dict[str, Any]]:
    """Components of the tokens of a layer as bytes (rows, columns, RGB), of all images together.

    So the same colour means the same in each of them. ``cells`` (columns, rows) of them, with fractions, fill the
    ``window`` (x1, y1, x2, y2 pixels) of the image.
    """
    grids = [look.cells(layer) for look in looks]
    flat = torch.cat([grid.tokens.flatten(1) for grid in grids], dim=1)[:, None]
    colors = np.rint(components(flat)[:, 0]).astype(np.uint8)
    ends = np.cumsum([math.prod(grid.tokens.shape[1:]) for grid in grids])[:-1]
    return [
        {
            "rows": grid.tokens.shape[1],
            "columns": grid.tokens.shape[2],
            "cells": [end / grid.stride for end in grid.extent[::-1]],
            "window": _window(look, grid.extent),
            "colors": _text(part.T),
        }
        for look, grid, part in zip(looks, grids, np.split(colors, ends, axis=1), strict=True)
    ]


def _heat(first: Look, look: Look, point: tuple[float, float]) -> dict[str, Any]:
    cosines = first.heat.similarity(look.heat, np.array([point]))[0].numpy()
    low, high = float(cosines.min()), float(cosines.max())
    steps = np.rint((cosines - low) * (255 / max(high - low, 1e-6))).astype(np.uint8)
    rows, columns = steps.shape
    values = {"rows": rows, "columns": columns, "window": look.heat.window, "low": low, "high": high}
    return {**values, "cosines": _text(steps), "best": None}


def _window(look: Look, extent: tuple[int, int]) -> list[float]:
    corners = np.array([(0, 0), extent[::-1]])
    return look.placed.placements[0].points_to_image(corners).reshape(-1).tolist()


def _text(values: npt.NDArray[np.uint8]) -> str:
    return b64encode(values.tobytes()).decode()
