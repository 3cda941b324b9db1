"""Colours as the eye orders them.

Oklab, by B. Ottosson (2020), "A perceptual color space for image processing"; its constants are in the public domain.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Colors = npt.NDArray[np.floating[Any]]

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
    """sRGB values, which leave 0..1 where a screen cannot show the colour."""
    linear = (lab @ np.linalg.inv(_TO_LAB)) ** 3 @ np.linalg.inv(_TO_CONES)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 0.0) ** (1 / 2.4) - 0.055)
