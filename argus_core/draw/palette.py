"""A colour for every class."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

Colors = npt.NDArray[np.floating[Any]]
Color = tuple[int, int, int]
Pixels = npt.NDArray[np.uint8]
WHITE: Color = (255, 255, 255)
BLACK: Color = (0, 0, 0)
GREY: Color = (144, 144, 144)
"""For what is not known, not labelled or not matched."""
COLORS = 512
"""Number of colours; further classes start again with the first one."""
UNLIKE = 0.2
"""The smallest distance of two successive colours in Oklab."""
_FIRST = (
    (47, 126, 216),
    (242, 142, 43),
    (63, 163, 77),
    (214, 66, 91),
    (148, 103, 201),
    (23, 182, 196),
    (227, 119, 184),
    (181, 165, 28),
    (140, 90, 60),
    (127, 214, 160),
)
_TO_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
).T
_TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
).T


def to_oklab(rgb: Colors) -> Colors:
    """Lightness (0..1), green to red and blue to yellow, (..., 3), of sRGB values in 0..1."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return np.cbrt(linear @ _TO_CONES) @ _TO_LAB


def from_oklab(lab: Colors) -> Colors:
    """sRGB values, which are outside 0..1 where a screen cannot show the colour."""
    linear = (lab @ np.linalg.inv(_TO_LAB)) ** 3 @ np.linalg.inv(_TO_CONES)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 0.0) ** (1 / 2.4) - 0.055)


@cache
def class_colors() -> Pixels:
    """(512, 3) RGB bytes, all different and none grey: each is as far as possible from all before it, to the eye.

    The first K are therefore good colours of K classes for any K, and a class keeps its colour when others are added.
    Successive colours always differ clearly, although late ones must resemble some early ones.
    """
    levels = np.arange(0, 256, 15, dtype=np.uint8)
    choice = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(-1, 3)
    lab = to_oklab(choice / 255)
    chroma = np.hypot(lab[:, 1], lab[:, 2])
    fit = (lab[:, 0] > 0.42) & (lab[:, 0] < 0.9) & (chroma > 0.05) & (chroma < 0.19)
    choice, lab = choice[fit], lab[fit]
    colors = [np.array(color, dtype=np.uint8) for color in _FIRST]
    distance = np.min([_squared_distance(lab, to_oklab(color / 255)) for color in colors], axis=0)
    while len(colors) < COLORS:
        differs = _squared_distance(lab, to_oklab(colors[-1] / 255)) > UNLIKE**2
        farthest = int(np.where(differs, distance, 0).argmax())
        colors.append(choice[farthest])
        distance = np.minimum(distance, _squared_distance(lab, lab[farthest]))
    palette = np.stack(colors)
    palette.flags.writeable = False
    return palette


def class_color(label: int) -> Color:
    """The colour of a class, clearly different from those of the next classes."""
    red, green, blue = class_colors()[label % COLORS].tolist()
    return red, green, blue


def ink_on(color: Color) -> Color:
    """Black or white, whichever is easier to read on ``color``."""
    return BLACK if to_oklab(np.array(color) / 255)[0] > 0.65 else WHITE


def _squared_distance(lab: Colors, color: Colors) -> Colors:
    return ((lab - color) ** 2).sum(axis=-1)
