"""TIFF files: sample types, colour models, pages, and strips that are not there."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from hostile_case import Case, bad, good
from hostile_images import COLOURS, GREY, SMOOTH, encode, over_white, thrice, tiff
from PIL import Image

WIDE = np.random.default_rng(1).integers(0, 65536, (9, 13, 3), dtype=np.uint16)
HIGH = (WIDE >> 8).astype(np.uint8)
SHARES = (GREY / 255).astype(np.float32)


def samples() -> Iterator[Case]:
    """Types and byte orders."""
    yield good("hand.tif", tiff(COLOURS, 2), COLOURS)
    for order, name in (("<", "little"), (">", "big")):
        yield good(f"grey16-{name}.tif", tiff(WIDE[..., 0], 1, order=order), thrice(HIGH[..., 0]))
        yield good(f"rgb16-{name}.tif", tiff(WIDE, 2, order=order), HIGH)
        yield good(f"float-{name}.tif", tiff(SHARES, 1, order=order), thrice(GREY))
    yield good("int32.tif", tiff(WIDE[..., 0].astype(np.int32), 1), thrice(HIGH[..., 0]))
    yield good("white-is-zero.tif", tiff(GREY, 0), thrice(255 - GREY))
    yield good("fax.tif", encode(Image.fromarray(GREY > 99), "TIFF", compression="group4"), thrice((GREY > 99) * 255))
    yield bad("white-is-zero16.tif", tiff(WIDE[..., 0], 0), "white as 0.*black as 0")
    yield bad("white-is-zero-float.tif", tiff(SHARES, 0), "white as 0.*black as 0")
    yield bad("nan.tif", tiff(np.where(GREY > 99, np.float32("nan"), SHARES), 1), "nan.*finite")
    yield bad("bright-float.tif", tiff(SHARES * 255, 1), r"0\.\.1.*25\d.*scale")
    yield bad("huge-int32.tif", tiff(WIDE[..., 0].astype(np.int32) * 9, 1), "outside 0..65535")
    yield bad("small-int32.tif", tiff(GREY.astype(np.int32), 1), "16-bit values.*all black")


def colours() -> Iterator[Case]:
    """Colour models that Pillow converts."""
    inks = np.random.default_rng(1).integers(0, 256, (9, 13, 4), dtype=np.uint8)
    light = (255 - inks.astype(float)) / 255
    yield good("inks.tif", tiff(inks, 5), np.rint(255 * light[..., :3] * light[..., 3:]), 1)
    # L*a*b* of sRGB red, green and blue under D50, as in the ICC's profile; a and b are signed bytes.
    lab = np.array([[[54.29, 80.81, 69.89], [87.82, -79.27, 80.99], [29.57, 68.30, -112.03]]])
    coded = np.rint(lab * (2.55, 1, 1)).astype(np.int64).astype(np.uint8)
    yield good("lab.tif", tiff(coded, 8), 255 * np.eye(3)[None], 24)
    alpha = np.dstack([COLOURS, GREY])
    yield good("rgba.tif", encode(alpha, "TIFF"), over_white(COLOURS, GREY), 1)


def structure() -> Iterator[Case]:
    """Compressions, pages, and missing strips."""
    for how in ("tiff_lzw", "tiff_adobe_deflate", "packbits"):
        yield good(f"{how}.tif", encode(COLOURS, "TIFF", compression=how), COLOURS)
        whole = encode(COLOURS, "TIFF", compression=how)
        longer = whole.replace(b"\x01\x01\x03\0\x01\0\0\0\x09", b"\x01\x01\x03\0\x01\0\0\0\x63")
        yield bad(f"long-{how}.tif", longer, "cannot be read")
    yield good("jpeg.tif", encode(SMOOTH, "TIFF", compression="jpeg", quality=95), SMOOTH, 12)
    pages = encode(COLOURS, "TIFF", save_all=True, append_images=[Image.fromarray(GREY)])
    yield good("pages.tif", pages, COLOURS)
    for orientation, expected in ((3, COLOURS[::-1, ::-1]), (6, np.rot90(COLOURS, -1))):
        yield good(f"turned-{orientation}.tif", encode(COLOURS, "TIFF", tiffinfo={274: orientation}), expected)
    yield bad("long.tif", tiff(COLOURS, 2, length=400), "end too early")
    yield bad("bomb.tif", tiff(COLOURS, 2, length=1 << 27), "MAX_IMAGE_PIXELS")


def cases() -> Iterator[Case]:
    """All of them."""
    yield from samples()
    yield from colours()
    yield from structure()
