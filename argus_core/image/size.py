"""The size of an image file without decoding its pixels."""

from __future__ import annotations

from typing import IO

from PIL import ExifTags, Image
from PIL.TiffImagePlugin import IMAGELENGTH, IMAGEWIDTH, TiffImageFile

from argus_core.common.files import Openable
from argus_core.image.source import printable, unreadable

_TURNED = range(5, 9)
"""EXIF orientations that exchange width and height."""
_SIGNATURE = 8
_XMP = "XML:com.adobe.xmp"


def read_size(path: Openable) -> tuple[int, int]:
    """Height and width of the upright image, as ``read_image`` gives it; raises ArgusError naming what is unreadable.

    Only the header is read, so that a file whose pixels are damaged has a size.
    """
    try:
        with path.open("rb") as file, Image.open(file) as image:
            width, height = image.size
            if isinstance(image, TiffImageFile):  # some versions of Pillow give the size of the upright image
                width, height = image.tag_v2[IMAGEWIDTH], image.tag_v2[IMAGELENGTH]
            turned = not _is_plain(image, file) and _orientation(image) in _TURNED
    except Exception as error:  # decoders raise anything on a broken file
        raise unreadable(printable(str(path)), error) from error
    return (width, height) if turned else (height, width)


def _is_plain(image: Image.Image, file: IO[bytes]) -> bool:
    """Whether it is a PNG without a record; Pillow would decode the pixels, to see whether one follows them."""
    return image.format == "PNG" and not ({"exif", _XMP} & image.info.keys()) and not _has_late_record(file)


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # a record that ``read_image`` cannot read either
        return 1


def _has_late_record(file: IO[bytes]) -> bool:
    """Whether a PNG file has an EXIF record, which may follow the pixels."""
    file.seek(_SIGNATURE)
    while len(header := file.read(8)) == 8:
        if header[4:] == b"eXIf":
            return True
        file.seek(int.from_bytes(header[:4], "big") + 4, 1)  # the check sum has four bytes
    return False
