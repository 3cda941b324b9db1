"""Small images in a size at which they can be written on."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from argus_core.draw.palette import Pixels

LEAST = 360
"""The side in pixels of a square as large as the smallest picture on which names hide little."""

MOST = 1600
"""Pixels that no side is enlarged beyond."""


def factor_for(size: tuple[int, int]) -> int:
    """The whole number by which a picture of ``size`` (height, width) pixels is enlarged before it is written on."""
    return max(1, min(math.ceil(LEAST / math.sqrt(size[0] * size[1])), MOST // max(size)))


def enlarged(image: Pixels) -> tuple[Pixels, int]:
    """An RGB image at a size at which it can be written on, and the factor it was enlarged by."""
    factor = factor_for((image.shape[0], image.shape[1]))
    return resized(image, (image.shape[0] * factor, image.shape[1] * factor)), factor


def resized(image: Pixels, size: tuple[int, int]) -> Pixels:
    """An RGB image at ``size`` (height, width), smoothly; a copy where it has that size."""
    if image.shape[:2] == size:
        return image.copy()
    shrinks = size[0] * size[1] < image.shape[0] * image.shape[1]
    method = Image.Resampling.LANCZOS if shrinks else Image.Resampling.BICUBIC
    return np.array(Image.fromarray(image).resize((size[1], size[0]), method, reducing_gap=3))


def resized_map(values: npt.NDArray[Any], size: tuple[int, int]) -> npt.NDArray[Any]:
    """Numbers or labels (h, w) at ``size`` (height, width), each as it was: none is mixed with its neighbours."""
    rows, columns = (
        np.minimum(((np.arange(new) + 0.5) * old / new).astype(np.intp), old - 1)
        for new, old in zip(size, values.shape, strict=True)
    )
    return values[rows[:, None], columns[None]]
