"""Numbers as colours: from dark violet over red to light yellow, in equal steps to the eye."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from argus_core.draw.oklab import from_oklab
from argus_core.draw.palette import Pixels

STEPS = 256


@cache
def ramp() -> Pixels:
    """(256, 3) RGB bytes along a half turn of hue in Oklab, with evenly rising lightness.

    Computed, not copied from a table. It keeps its order in greyscale and for the colour blind.
    """
    along = np.linspace(0, 1, STEPS)
    lightness, hue = 0.18 + 0.78 * along, np.radians(280 + 185 * along)
    chroma = 0.06 + 0.13 * np.sin(np.pi * along**0.9)
    chroma = np.minimum(chroma, _most_chroma(lightness, hue))
    colors = np.rint(from_oklab(_lab(lightness, chroma, hue)).clip(0, 1) * 255).astype(np.uint8)
    colors.flags.writeable = False
    return colors


def shade(share: npt.NDArray[np.floating[Any]]) -> Pixels:
    """(..., 3) RGB bytes of numbers in 0..1; those beyond get the end's colour."""
    return ramp()[np.rint(np.clip(share, 0, 1) * (STEPS - 1)).astype(np.intp)]


def _lab(lightness: npt.NDArray[Any], chroma: npt.NDArray[Any], hue: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.stack([lightness, chroma * np.cos(hue), chroma * np.sin(hue)], axis=-1)


def _most_chroma(lightness: npt.NDArray[Any], hue: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The strongest colours that a screen shows, by bisection."""
    low, high = np.zeros_like(hue), np.full_like(hue, 0.4)
    for _ in range(20):
        middle = (low + high) / 2
        rgb = from_oklab(_lab(lightness, middle, hue))
        shown = ((rgb >= 0) & (rgb <= 1)).all(axis=-1)
        low, high = np.where(shown, middle, low), np.where(shown, high, middle)
    return low
