"""Arrays and tensors as RGB bytes: the shapes, dtypes and ranges of images, and errors for all others."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from argus_core.errors import ArgusError

if TYPE_CHECKING:
    from torch import Tensor


RGB = npt.NDArray[np.uint8]
_SLACK = 1e-3
"""How far values may be outside 0..1 due to rounding errors; a quarter of a byte's step."""


def is_tensor(source: object) -> bool:
    """Whether ``source`` is a torch tensor, without importing torch."""
    return any(base.__module__ == "torch" and base.__name__ == "Tensor" for base in type(source).__mro__)


def of_tensor(tensor: Tensor) -> npt.NDArray[Any]:
    """The (h, w, channels) array of an image tensor, with channels first or last, whichever its shape allows."""
    shape = tuple(tensor.shape)
    if len(shape) == 4:
        raise ArgusError(f"a tensor of {shape} is a batch, not an image: give list(tensor)")
    first = len(shape) == 3 and shape[0] in (1, 3, 4)
    last = len(shape) == 3 and shape[2] in (3, 4)
    if first and last:
        raise ArgusError(f"the channels of a tensor of {shape} may come first or last: give an array (h, w, channels)")
    if not (first or last):
        raise ArgusError(f"an image tensor is (1, 3 or 4, h, w) or (h, w, 3 or 4), not {shape}")
    try:
        tensor = tensor.detach().cpu()
        values: npt.NDArray[Any] = (tensor.float() if tensor.is_floating_point() else tensor).numpy()
    except Exception as error:  # sparse, quantised, without data
        kind = f"{tensor.layout} tensor of {tensor.dtype} on {tensor.device}"
        raise ArgusError(f"a {kind} cannot be read as an image ({error})") from error
    return np.moveaxis(values, 0, 2) if first else values


def of_array(values: npt.NDArray[Any]) -> RGB:
    """(h, w, 3) contiguous, writable RGB bytes of an array (h, w) or (h, w, 1, 3 or 4)."""
    if np.ma.is_masked(values):
        raise ArgusError("an image array has no masked pixels: fill them first, as with values.filled(0)")
    values = np.asarray(values)  # np.matrix, for example, is always two-dimensional
    channels = values.shape[2] if values.ndim == 3 else 1
    if values.ndim not in (2, 3) or channels not in (1, 3, 4) or values.size == 0:
        raise ArgusError(f"an image array is (h, w) or (h, w, 1, 3 or 4), not {values.shape}")
    pixels = _to_bytes(values).reshape(*values.shape[:2], channels)
    if channels == 4:
        return flatten(Image.fromarray(np.ascontiguousarray(pixels)))
    # Writable, because torch warns about read-only arrays.
    return np.require(pixels if channels == 3 else np.repeat(pixels, 3, axis=2), requirements=["C", "W"])


def flatten(image: Image.Image) -> RGB:
    """RGB bytes of an 8-bit image, on white where it is transparent."""
    if image.mode == "La":
        image = image.convert("LA")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.array(image.convert("RGB"))  # a copy, because the view of a PIL image is read-only


def _to_bytes(values: npt.NDArray[Any]) -> RGB:
    if values.dtype == np.uint8:
        return values
    if values.dtype.kind == "u" and values.dtype.itemsize == 2:
        return _high_byte(values)
    if values.dtype.kind != "f":
        raise ArgusError(f"an image array of {values.dtype} has no agreed white: give uint8, uint16 or float in 0..1")
    with np.errstate(invalid="ignore"):
        low, high = float(values.min()), float(values.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ArgusError(f"a float image lies in 0..1, not in {low:g}..{high:g}: replace what is not finite")
    if low < -_SLACK or high > 1 + _SLACK:
        raise ArgusError(f"a float image lies in 0..1, not in {low:.6g}..{high:.6g}: scale it first")
    return np.rint(values.astype(np.float32) * 255).astype(np.uint8)


def _high_byte(values: npt.NDArray[Any]) -> RGB:
    if 0 < values.max() < 256:
        raise ArgusError(f"16-bit values of 0 to {values.max()} are all black, as white is 65535: give uint8 or scale")
    return (values >> 8).astype(np.uint8)
