"""Any image a user has, as RGB bytes, by rules that do not depend on the other pixels of the image."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from argus_core.errors import ArgusError

ImageSource = str | os.PathLike[str] | Image.Image | npt.NDArray[Any]
RGB = npt.NDArray[np.uint8]


def read_image(source: ImageSource) -> RGB:
    """Read a path, PIL image or array as (h, w, 3) RGB bytes; ``ArgusError`` names what cannot be read.

    The EXIF orientation is applied. Grey is repeated, transparency is laid over white, CMYK and palettes are
    converted by Pillow; of several frames the first counts. 16-bit values keep their high byte (as Pillow
    does for 16-bit RGB); float values must lie in 0..1. Arrays are (h, w) or (h, w, 1, 3 or 4) of uint8,
    uint16 or float; a uint8 RGB array is not copied. Above ``PIL.Image.MAX_IMAGE_PIXELS`` Pillow warns, above
    twice that reading fails: set it higher (or to None) for files you trust.
    """
    if isinstance(source, np.ndarray):
        return _from_array(source)
    if isinstance(source, Image.Image):
        return _from_pil(source, getattr(source, "filename", "") or f"the given {source.mode} image")
    if not isinstance(source, (str, os.PathLike)):
        raise ArgusError(f"an image is a path, a PIL image or an array, not {type(source).__name__}")
    if not os.path.isfile(source):
        raise ArgusError(f"{os.fspath(source)}: no such file")
    try:
        image = Image.open(source)
    except Exception as error:  # decoders raise anything on a broken file
        raise _unreadable(os.fspath(source), error) from error
    with image:
        return _from_pil(image, os.fspath(source))


def _from_pil(image: Image.Image, name: str) -> RGB:
    try:
        upright = ImageOps.exif_transpose(image)
        if upright.mode in ("I", "F") or upright.mode.startswith("I;16"):
            return _from_array(_wide(upright))
        return _flatten(upright)
    except Exception as error:
        raise _unreadable(name, error) from error


def _wide(image: Image.Image) -> npt.NDArray[Any]:
    """The pixels of a 16-bit, 32-bit or float image; Pillow also opens 16-bit files as 32-bit ones."""
    values = np.asarray(image)
    if values.dtype != np.int32:
        return values
    if values.min() < 0 or values.max() > 65535:
        raise ArgusError(f"32-bit values of {values.min()} to {values.max()} lie outside 0..65535: scale them")
    return values.astype(np.uint16)


def _flatten(image: Image.Image) -> RGB:
    """RGB bytes of an 8-bit image, over white where it is transparent."""
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.array(image.convert("RGB"))  # a copy, because the view of a PIL image is read-only


def _from_array(values: npt.NDArray[Any]) -> RGB:
    channels = values.shape[2] if values.ndim == 3 else 1
    if values.ndim not in (2, 3) or channels not in (1, 3, 4) or values.size == 0:
        raise ArgusError(f"an image array is (h, w) or (h, w, 1, 3 or 4), not {values.shape}")
    pixels = _to_bytes(values).reshape(*values.shape[:2], channels)
    if channels == 4:
        return _flatten(Image.fromarray(np.ascontiguousarray(pixels)))
    # Writable, because torch warns of arrays that are not.
    return np.require(pixels if channels == 3 else np.repeat(pixels, 3, axis=2), requirements=["C", "W"])


def _to_bytes(values: npt.NDArray[Any]) -> RGB:
    if values.dtype == np.uint8:
        return values
    if values.dtype.kind == "u" and values.dtype.itemsize == 2:
        return (values >> 8).astype(np.uint8)
    if values.dtype.kind != "f":
        raise ArgusError(f"an image array of {values.dtype} has no agreed white: give uint8, uint16 or float in 0..1")
    low, high = float(values.min()), float(values.max())
    if not (low >= 0 and high <= 1):
        raise ArgusError(f"a float image lies in 0..1, not in {low:g}..{high:g}: scale it first")
    return np.rint(values.astype(np.float32) * 255).astype(np.uint8)


def _unreadable(name: str, error: Exception) -> ArgusError:
    hint = ""
    if isinstance(error, (Image.DecompressionBombError, Image.DecompressionBombWarning)):
        hint = "; if you trust the file, raise PIL.Image.MAX_IMAGE_PIXELS"
    return ArgusError(f"{name}: cannot be read as an image ({error}){hint}")
