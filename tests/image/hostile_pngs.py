"""PNG files of every depth and colour type, and damaged ones."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import numpy as np
from hostile_case import Case, bad, good
from hostile_images import ALPHA, COLOURS, GREY, TABLE, chunk, encode, over_white, png, rows, thrice
from PIL import Image, ImageCms

WIDE = np.random.default_rng(1).integers(0, 65536, (9, 13, 4), dtype=np.uint16)
HIGH = (WIDE >> 8).astype(np.uint8)
SIZE = GREY.shape
INDICES = GREY % 3
PASSES = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))


def depths() -> Iterator[Case]:
    """Samples of 1 to 16 bits."""
    yield good("bit.png", encode(GREY > 99, "PNG"), thrice((GREY > 99) * 255))
    packed = np.packbits(np.unpackbits(GREY[:, :12, None] >> 6, axis=2)[..., 6:].reshape(9, 24), axis=1)
    yield good("two-bits.png", png((9, 12), 2, 0, rows(packed)), thrice((GREY[:, :12] >> 6) * 85))
    packed = (GREY[:, 0:12:2] & 0xF0) | (GREY[:, 1:12:2] >> 4)
    yield good("four-bits.png", png((9, 12), 4, 0, rows(packed)), thrice((GREY[:, :12] >> 4) * 17))
    yield good("grey.png", encode(GREY, "PNG"), thrice(GREY))
    yield good("grey16.png", png(SIZE, 16, 0, rows(WIDE[..., 0])), thrice(HIGH[..., 0]))
    yield good("rgb16.png", png(SIZE, 16, 2, rows(WIDE[..., :3])), HIGH[..., :3])
    yield good(
        "grey-alpha16.png",
        png(SIZE, 16, 4, rows(WIDE[..., :2])),
        over_white(thrice(HIGH[..., 0]), HIGH[..., 1]),
        1,
    )
    yield good("rgba16.png", png(SIZE, 16, 6, rows(WIDE)), over_white(HIGH[..., :3], HIGH[..., 3]), 1)


def transparent() -> Iterator[Case]:
    """Alpha channels, transparent colours and palettes."""
    grey_alpha = Image.merge("LA", [Image.fromarray(GREY), Image.fromarray(ALPHA)])
    yield good("grey-alpha.png", encode(grey_alpha, "PNG"), over_white(thrice(GREY), ALPHA), 1)
    yield good("rgba.png", encode(np.dstack([COLOURS, ALPHA]), "PNG"), over_white(COLOURS, ALPHA), 1)
    key = COLOURS[2, 3]
    expected = np.where((key == COLOURS).all(2, keepdims=True), 255, COLOURS)
    yield good("rgb-key.png", encode(COLOURS, "PNG", transparency=tuple(key.tolist())), expected)
    yield good(
        "grey-key.png", encode(GREY, "PNG", transparency=int(key[0])), thrice(np.where(key[0] == GREY, 255, GREY))
    )
    image = Image.fromarray(INDICES)
    image.putpalette(TABLE.tobytes())
    yield good("palette.png", encode(image, "PNG"), TABLE[INDICES])
    clear = np.where(INDICES[..., None] == 1, 255, TABLE[INDICES])
    yield good("palette-key.png", encode(image, "PNG", transparency=1), clear)
    alphas = np.array([255, 128, 0])[INDICES]
    shades = encode(image, "PNG", transparency=bytes([255, 128, 0]))
    yield good("palette-alphas.png", shades, over_white(TABLE[INDICES], alphas), 1)
    unread = r"transparent colour in 2, 4 or 16 bits.*alpha channel"
    yield bad("grey16-key.png", png(SIZE, 16, 0, rows(WIDE[..., 0]), chunk(b"tRNS", WIDE[2, 3, :1].tobytes())), unread)
    yield bad("rgb16-key.png", png(SIZE, 16, 2, rows(WIDE[..., :3]), chunk(b"tRNS", WIDE[2, 3, :3].tobytes())), unread)
    yield bad("four-bits-key.png", png((1, 2), 4, 0, b"\0\x1b", chunk(b"tRNS", b"\0\1")), unread)


def structure() -> Iterator[Case]:
    """Interlacing, profiles, and chunks that are missing, broken or bombs."""
    passes = [COLOURS[y::dy, x::dx] for y, x, dy, dx in PASSES]
    yield good("interlaced.png", png(SIZE, 8, 2, b"".join(map(rows, passes)), interlaced=True), COLOURS)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    yield good("profile.png", encode(COLOURS, "PNG", icc_profile=profile), COLOURS)
    yield good("profile-garbage.png", encode(COLOURS, "PNG", icc_profile=b"no profile"), COLOURS)
    unread = encode(COLOURS, "PNG", exif=b"Exif\0\0garbage")
    yield good("exif-garbage.png", unread, COLOURS, warns=UserWarning)
    moving = encode(COLOURS, "PNG", save_all=True, append_images=[Image.fromarray(COLOURS[::-1])])
    yield good("animated.png", moving, COLOURS)
    whole = encode(COLOURS, "PNG")
    yield good("no-end-chunk.png", whole[:-12], COLOURS)
    yield bad("header-check-sum.png", whole[:20] + b"\1" + whole[21:], "no format that Pillow knows")
    flat = bytearray(encode(COLOURS, "PNG", compress_level=0))
    flat[-40] ^= 64
    yield bad("data-check-sum.png", bytes(flat), "broken data stream")
    yield bad("no-palette.png", png(SIZE, 8, 3, rows(INDICES)), "palette is missing")
    yield bad("no-data.png", whole[:33] + whole[-12:], "cannot be read")
    yield bad("no-size.png", png((0, 0), 8, 2, b""), "no format that Pillow knows")
    yield bad("bomb.png", png((30000, 30000), 8, 2, b""), "900000000 pixels.*MAX_IMAGE_PIXELS")
    text = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(1 << 23)))
    yield bad("text-bomb.png", png(SIZE, 8, 2, rows(COLOURS), text), "(?i)decompressed data too large")


def cases() -> Iterator[Case]:
    """All of them."""
    yield from depths()
    yield from transparent()
    yield from structure()
