"""JPEG data that end before the last pixel, which libjpeg fills with one colour without telling anyone."""

from __future__ import annotations

import re
from io import BytesIO

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

_END_OF_IMAGE = 0xD9
_MARKER = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]")  # but for stuffed bytes and restarts, which lie inside a scan
_FILLER = bytes(range(1, 255))


def cut_short(data: bytes, image: Image.Image) -> bool:
    """Whether pixels of ``image``, decoded from ``data``, are missing although the file has its end marker.

    A whole image does not depend on bytes behind its last scan. The second decoding that shows it is spent only on
    images whose last pixels could be filling; a gap within the last few blocks may stay unseen.
    """
    if not _ends_flat(image):
        return False
    end = _end_of_scans(data)
    with JpegImageFile(BytesIO(data[:end] + _FILLER + data[end:])) as other:
        return other.tobytes() != image.tobytes()


def _ends_flat(image: Image.Image) -> bool:
    """Whether the last 16 pixels are of one brightness, up to rounding, as they are where blocks are missing."""
    width, height = image.size
    low, high = image.crop((max(0, width - 16), height - 1, width, height)).convert("L").getextrema()
    assert isinstance(low, (int, float)) and isinstance(high, (int, float))
    return high - low <= 2


def _end_of_scans(data: bytes) -> int:
    """Where the first image's end marker starts; thumbnails and appended images have markers of their own."""
    at = 2
    while found := _MARKER.search(data, at):
        if data[found.end() - 1] == _END_OF_IMAGE:
            return found.start()
        at = found.end() + int.from_bytes(data[found.end() : found.end() + 2], "big")
    return len(data)
