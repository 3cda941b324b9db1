"""Decoding images that Pillow opened: with errors where it would ignore a fault, and turned upright."""

from __future__ import annotations

import re
import warnings
from io import BytesIO
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image
from PIL.JpegImagePlugin import JpegImageFile
from PIL.TiffImagePlugin import IMAGELENGTH, IMAGEWIDTH, PHOTOMETRIC_INTERPRETATION, TiffImageFile

from argus_core.common.files import Openable
from argus_core.errors import ArgusError

_END_OF_IMAGE = 0xD9
_MARKER = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]")  # except stuffed bytes and restarts, which are inside scans
_FILLER = bytes(range(1, 255))
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_WIDENED = {"L;2": 85, "L;4": 17}
"""Factors by which Pillow multiplies grey values of 2 and 4 bits."""


def read_numbers(path: Openable) -> tuple[npt.NDArray[Any], str]:
    """The unconverted numbers in an image file, turned by its EXIF orientation, and Pillow's mode of the image.

    For masks and depth maps, whose values are not colours. Raises the errors of decoders.
    """
    with path.open("rb") as file, Image.open(file) as image:
        mode, step = image.mode, _WIDENED.get(_layout(image), 1)
        load_whole(image, file, colours=False)
        numbers = np.array(upright(image, str(path)))
        return (numbers // step if step > 1 else numbers), mode


def load_whole(image: Image.Image, file: IO[bytes] | None, colours: bool = True) -> None:
    """Decode all pixels; raises ArgusError if some are missing, or if Pillow is known to decode them wrongly.

    ``file`` is the file of the image, if there is one; without ``colours`` only the numbers matter.
    """
    if image.format == "EPS":
        raise ArgusError("PostScript is a program, which is not run: convert it first")
    if wrong := _misread(image, colours):
        raise ArgusError(wrong)
    image.load()
    if 0 in image.size:
        raise ArgusError("it has no pixels")
    if file is not None and image.format in ("JPEG", "MPO"):
        file.seek(0)
        if cut_short(file.read(), image):
            raise ArgusError("the image data end too early")


def upright(image: Image.Image, name: str) -> Image.Image:
    """The image turned by its EXIF orientation; a record that cannot be read causes a warning.

    Unlike ``ImageOps.exif_transpose`` it writes no new EXIF record, which fails for unusual entries.
    """
    try:
        turn = _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception as error:
        warnings.warn(f"{name}: the EXIF record cannot be read, so the image is not turned ({error})", stacklevel=4)
        return image
    return image if turn is None else image.transpose(turn)


def _layout(image: Image.Image) -> str:
    """Pillow's name of the bit layout in the file of an image that is not decoded yet."""
    tiles = getattr(image, "tile", [])
    layout = tiles[0][3] if tiles else ""
    return str(layout[0] if isinstance(layout, tuple) and layout else layout)


def _misread(image: Image.Image, colours: bool) -> str:
    """Why Pillow would silently decode an image wrongly; empty if it would not."""
    if not (tiles := getattr(image, "tile", [])):
        return ""
    transparent = colours and image.format == "PNG" and "transparency" in image.info
    if transparent and _layout(image) in ("L;2", "L;4", "I;16B", "RGB;16B"):
        return "a transparent colour in 2, 4 or 16 bits is not supported: save it with an alpha channel"
    if colours and image.format == "PNG" and image.mode == "P" and image.palette is None:
        return "its palette is missing"
    if not isinstance(image, TiffImageFile):
        return ""
    if image.mode[0] in "IF" and image.tag_v2.get(PHOTOMETRIC_INTERPRETATION) == 0:
        return "white as 0 is supported up to 8 bits: save it with black as 0"
    covered = [max(tile[1][side] for tile in tiles) for side in (2, 3)]
    if any(have < image.tag_v2[tag] for have, tag in zip(covered, (IMAGEWIDTH, IMAGELENGTH), strict=True)):
        return "the image data end too early"
    return ""


def cut_short(data: bytes, image: Image.Image) -> bool:
    """Whether pixels of ``image``, decoded from ``data``, are missing although the file has an end marker.

    A complete image does not depend on bytes after its last scan. As this test takes a second decoding, it is only made
    if the last pixels could be filling; a gap within the last few blocks may go unnoticed.
    """
    if not _ends_flat(image):
        return False
    end = _end_of_scans(data)
    with JpegImageFile(BytesIO(data[:end] + _FILLER + data[end:])) as other:
        return bool(other.tobytes() != image.tobytes())


def _ends_flat(image: Image.Image) -> bool:
    """Whether the last 16 pixels have one brightness, up to rounding, as they do where blocks are missing."""
    width, height = image.size
    low, high = image.crop((max(0, width - 16), height - 1, width, height)).convert("L").getextrema()
    assert isinstance(low, (int, float)) and isinstance(high, (int, float))
    return high - low <= 2


def _end_of_scans(data: bytes) -> int:
    """Where the first image's end marker starts; thumbnails and appended images have markers of their own."""
    position = 2
    while marker := _MARKER.search(data, position):
        if data[marker.end() - 1] == _END_OF_IMAGE:
            return marker.start()
        position = marker.end() + int.from_bytes(data[marker.end() : marker.end() + 2], "big")
    return len(data)
