"""One file or more of every other format that people have, and extreme sizes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from hostile_case import Case, good
from hostile_images import ALPHA, COLOURS, GREY, SMOOTH, TABLE, encode, over_white, thrice
from PIL import Image, features

HEIGHT, WIDTH = GREY.shape
SQUARE = SMOOTH[:32, :32]


def still() -> Iterator[Case]:
    """Single images."""
    yield good("plain.bmp", encode(COLOURS, "BMP"), COLOURS)
    yield good("grey.bmp", encode(GREY, "BMP"), thrice(GREY))
    yield good("bit.bmp", encode(GREY > 99, "BMP"), thrice((GREY > 99) * 255))
    yield good("plain.tga", encode(COLOURS, "TGA"), COLOURS)
    yield good("runs.tga", encode(COLOURS, "TGA", compression="tga_rle"), COLOURS)
    yield good("plain.pcx", encode(COLOURS, "PCX"), COLOURS)
    yield good("plain.sgi", encode(COLOURS, "SGI"), COLOURS)
    yield good("plain.dds", encode(COLOURS, "DDS"), COLOURS)
    sizes = [(16, 16), (32, 32)]
    yield good("largest.ico", encode(SQUARE, "ICO", sizes=sizes), SQUARE)
    yield good("bitmap.ico", encode(SQUARE, "ICO", sizes=sizes, bitmap_format="bmp"), SQUARE)
    yield good("lossless.webp", encode(COLOURS, "WEBP", lossless=True), COLOURS)
    yield good("lossy.webp", encode(SMOOTH, "WEBP", quality=95), SMOOTH, 12)
    clear = encode(np.dstack([COLOURS, ALPHA]), "WEBP", lossless=True, exact=True)
    yield good("alpha.webp", clear, over_white(COLOURS, ALPHA), 1)
    if "jpg_2000" in features.get_supported():
        yield good("lossless.jp2", encode(COLOURS, "JPEG2000"), COLOURS)
    if "avif" in features.get_supported():
        yield good("lossy.avif", encode(SMOOTH, "AVIF", quality=90), SMOOTH, 12)


def portable() -> Iterator[Case]:
    """The Netpbm family, as text and as bytes."""
    head = f"{WIDTH} {HEIGHT}\n"
    yield good("plain.ppm", f"P6\n{head}255\n".encode() + COLOURS.tobytes(), COLOURS)
    text = " ".join(map(str, COLOURS.flat))
    yield good("text.ppm", f"P3\n# a remark\n{head}255\n{text}\n".encode(), COLOURS)
    bits = " ".join("01"[int(dark)] for dark in (GREY <= 99).flat)
    yield good("bit.pbm", f"P1\n{head}{bits}\n".encode(), thrice((GREY > 99) * 255))
    ten_bits = ((GREY.astype(int) << 2) + 3).astype(">u2")
    yield good("ten-bits.pgm", f"P5\n{head}1023\n".encode() + ten_bits.tobytes(), thrice(GREY), 1)
    shares = (GREY[::-1] / 255).astype("<f4")  # from the bottom up
    if ".pfm" in Image.registered_extensions():
        yield good("shares.pfm", f"Pf\n{head}-1.0\n".encode() + shares.tobytes(), thrice(GREY))


def moving() -> Iterator[Case]:
    """Animations, of which the first frame counts."""
    indexed = Image.fromarray(COLOURS).quantize(64)
    expected = np.asarray(indexed.convert("RGB"))
    more = {"save_all": True, "append_images": [Image.fromarray(COLOURS[::-1]).quantize(64)]}
    yield good("still.gif", encode(indexed, "GIF"), expected)
    yield good("moving.gif", encode(indexed, "GIF", **more), expected)
    marked = Image.fromarray(GREY % 3)
    marked.putpalette(TABLE.tobytes())
    clear = np.where((GREY % 3 == 1)[..., None], 255, TABLE[GREY % 3])
    yield good("key.gif", encode(marked, "GIF", transparency=1), clear)
    frames = [Image.fromarray(COLOURS[::-1])]
    yield good("moving.webp", encode(COLOURS, "WEBP", lossless=True, save_all=True, append_images=frames), COLOURS)


def sizes() -> Iterator[Case]:
    """As small and as narrow as images get."""
    line = np.random.default_rng(3).integers(0, 256, (1, 5000, 3), dtype=np.uint8)
    yield good("pixel.png", encode(COLOURS[:1, :1], "PNG"), COLOURS[:1, :1])
    yield good("pixel.gif", encode(GREY[:1, :1], "GIF"), thrice(GREY[:1, :1]))
    yield good("row.png", encode(line, "PNG"), line)
    yield good("column.png", encode(line.swapaxes(0, 1), "PNG"), line.swapaxes(0, 1))
    yield good("row.jpg", encode(np.full((1, 5000, 3), 77, np.uint8), "JPEG"), np.full((1, 5000, 3), 77), 1)


def cases() -> Iterator[Case]:
    """All of them."""
    for part in (still, portable, moving, sizes):
        yield from part()
