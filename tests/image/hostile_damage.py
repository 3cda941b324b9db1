"""Files cut in half, files that are no images, and small files that claim to be enormous."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np
from hostile_case import Case, bad
from hostile_images import COLOURS, encode, png
from PIL import features

NOISE = np.random.default_rng(4).integers(0, 256, (64, 64, 3), dtype=np.uint8)
KINDS = {
    "png": ("PNG", {}),
    "webp": ("WEBP", {}),
    "lossless.webp": ("WEBP", {"lossless": True}),
    "bmp": ("BMP", {}),
    "tif": ("TIFF", {}),
    "lzw.tif": ("TIFF", {"compression": "tiff_lzw"}),
    "deflate.tif": ("TIFF", {"compression": "tiff_adobe_deflate"}),
    "ico": ("ICO", {}),
    "bitmap.ico": ("ICO", {"bitmap_format": "bmp"}),
    "ppm": ("PPM", {}),
    "tga": ("TGA", {}),
    "runs.tga": ("TGA", {"compression": "tga_rle"}),
    "pcx": ("PCX", {}),
    "sgi": ("SGI", {}),
    "gif": ("GIF", {}),
}


def halves() -> Iterator[Case]:
    """The first half of a file of each kind."""
    extra = {"jp2": ("JPEG2000", {})} if "jpg_2000" in features.get_supported() else {}
    extra |= {"avif": ("AVIF", {})} if "avif" in features.get_supported() else {}
    for suffix, (kind, how) in (KINDS | extra).items():
        whole = encode(NOISE, kind, **how)
        yield bad(f"half.{suffix}", whole[: len(whole) // 2], rf"half\.{suffix}.*cannot be read")


def strangers() -> Iterator[Case]:
    """What is no image, whatever its name."""
    unknown = "no format that Pillow knows"
    yield bad("empty.jpg", b"", "it is empty")
    yield bad("one-byte.jpg", b"\xff", unknown)
    yield bad("text.jpg", b"not an image\n" * 99, unknown)
    yield bad("page.png", b"<!DOCTYPE html><html><body>404</body></html>", unknown)
    yield bad("drawing.svg", b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>', unknown)
    yield bad("document.pdf", b"%PDF-1.4\n%%EOF\n", unknown)
    yield bad("archive.jpg", b"PK\3\4" + bytes(99), unknown)
    yield bad("zeros.jpg", bytes(5000), unknown)
    yield bad("noise.jpg", NOISE.tobytes(), unknown)
    yield bad("program.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n", "not run")
    yield bad("table.h5", b"\x89HDF\r\n\x1a\n" + bytes(99), "cannot be read")
    yield bad("film.mpg", b"\0\0\1\xb3\x10\0\x10" + bytes(99), "cannot be read")
    yield bad("mark.png", b"\x89PNG\r\n\x1a\n", "cannot be read")


def bombs() -> Iterator[Case]:
    """A few bytes that would unpack to gigabytes."""
    pattern = "pixels.*MAX_IMAGE_PIXELS"
    bitmap = bytearray(encode(COLOURS, "BMP"))
    bitmap[18:26] = struct.pack("<ii", 40000, 40000)
    yield bad("bomb.bmp", bytes(bitmap), pattern)
    yield bad("bomb.gif", b"GIF89a" + struct.pack("<HH", 65535, 65535) + encode(COLOURS, "GIF")[10:], pattern)
    yield bad("bomb.ppm", b"P6 100000 100000 255\n" + bytes(99), pattern)
    inside = png((30000, 30000), 8, 2, b"")
    entry = struct.pack("<BBBBHHII", 0, 0, 0, 0, 1, 24, len(inside), 22)
    yield bad("bomb.ico", struct.pack("<HHH", 0, 1, 1) + entry + inside, pattern)


def cases() -> Iterator[Case]:
    """All of them."""
    yield from halves()
    yield from strangers()
    yield from bombs()
