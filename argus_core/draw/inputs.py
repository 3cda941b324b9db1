"""Checks and conversions of what is drawn: images as RGB bytes, everything else as arrays or tensors."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from argus_core.draw.palette import Pixels
from argus_core.errors import ArgusError

Values: TypeAlias = "npt.ArrayLike | Tensor"
"""Numbers as an array, a tensor, or anything that NumPy can convert."""


def checked(image: Pixels) -> Pixels:
    """The image itself; raises ArgusError if it is not (h, w, 3) uint8 with at least one pixel."""
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        kind = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise ArgusError(f"an image to draw on is uint8 (h, w, 3), not {kind}: use read_image")
    if not image.size:
        raise ArgusError(f"an image of {image.shape[0]}x{image.shape[1]} px has no pixels to draw on")
    return image


def as_array(values: Values) -> npt.NDArray[Any]:
    """A tensor of any device and precision, or anything array-like, as an array."""
    if isinstance(values, Tensor):
        values = values.detach().cpu()
        return (values.float() if values.dtype == torch.bfloat16 else values).numpy()  # numpy has no bfloat16
    return np.asarray(values)


def as_points(values: Values, what: str) -> npt.NDArray[np.float64]:
    """(N, 2) x, y; raises ArgusError for any other shape. No points may have any empty shape."""
    points = as_array(values).astype(np.float64)
    if not points.size:
        return points.reshape(0, 2)
    if points.ndim != 2 or points.shape[1] != 2:
        raise ArgusError(f"{what} are (N, 2) x, y, not {points.shape}")
    return points


def blend(image: Pixels, color: Pixels, opacity: float) -> Image.Image:
    """``color`` (h, w, 3) over an image of its size; an opacity of 1 hides it."""
    if not 0 <= opacity <= 1:
        raise ArgusError(f"opacity {opacity} is not within 0..1")
    return Image.blend(Image.fromarray(image), Image.fromarray(color), opacity)


def grey(image: Pixels) -> Pixels:
    """The image without its colours."""
    return np.asarray(Image.fromarray(image).convert("L").convert("RGB"))
