"""Reading any image as RGB bytes; how a pixel is converted never depends on the other pixels."""

from __future__ import annotations

import os
from typing import IO, TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from argus_core.errors import ArgusError
from argus_core.image.array import RGB, flatten, is_tensor, of_array, of_tensor
from argus_core.image.decode import load_whole, upright
from argus_core.image.source import open_source, printable, unreadable

if TYPE_CHECKING:
    from torch import Tensor


ImageSource: TypeAlias = (
    "str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes] | Image.Image | npt.NDArray[Any] | Tensor"
)
"""Everything that ``read_image`` accepts."""


def read_image(source: ImageSource) -> RGB:
    """Read a path, bytes, file, PIL image, array or tensor as (h, w, 3) RGB; ``ArgusError`` names what is unreadable.

    A text that begins with http:// or https:// is fetched, up to 64 MiB; ``ARGUS_OFFLINE=1`` forbids it. Files may have
    any format that Pillow opens, except PostScript, and any suffix; open files are read from their start. The EXIF
    orientation is applied, colour profiles are not. Grey is repeated, transparency is shown on white, CMYK, LAB and
    palettes are converted by Pillow; of several frames the first one is read, of a PIL image the current one. 16-bit
    values keep their high byte (as in Pillow for 16-bit RGB); float values must be finite and within 0..1.

    Arrays are (h, w) or (h, w, 1, 3 or 4) of uint8, uint16 or float, tensors also (1, 3 or 4, h, w) but not (h, w),
    and not of an ambiguous shape; a uint8 RGB array is not copied.

    A truncated file is an error, unless ``PIL.ImageFile.LOAD_TRUNCATED_IMAGES`` is set; flipped bits in a format
    without check sums are not noticed. Above ``PIL.Image.MAX_IMAGE_PIXELS`` Pillow warns, above twice that reading
    fails: set it higher (or to None) for files you trust, lower for less memory.
    """
    if isinstance(source, np.ndarray):
        return of_array(source)
    if is_tensor(source):
        return of_array(of_tensor(source))  # type: ignore[arg-type]
    if isinstance(source, Image.Image):
        filename = getattr(source, "filename", "")
        return _from_pil(source, printable(filename) if filename else f"the given {source.mode} image")
    file, name = open_source(source)
    with file:
        try:
            image = Image.open(file)
        except Exception as error:  # decoders raise anything on a broken file
            raise unreadable(name, error) from error
        with image:
            return _from_pil(image, name, file)


def _from_pil(image: Image.Image, name: str, file: IO[bytes] | None = None) -> RGB:
    try:
        load_whole(image, file)
        turned = upright(image, name)
        if turned.mode in ("I", "F") or turned.mode.startswith("I;16"):
            return of_array(_wide(turned))
        return flatten(turned)
    except Exception as error:
        raise unreadable(name, error) from error


def _wide(image: Image.Image) -> npt.NDArray[Any]:
    """The pixels of a 16-bit, 32-bit or float image; Pillow also opens 16-bit files as 32-bit ones."""
    values = np.asarray(image)
    if values.dtype != np.int32:
        return values
    if values.min() < 0 or values.max() > 65535:
        raise ArgusError(f"32-bit values of {values.min()} to {values.max()} lie outside 0..65535: scale them")
    return values.astype(np.uint16)
