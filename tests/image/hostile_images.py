"""The pictures that hostile files hold, and how to write them."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

COLOURS = np.random.default_rng(0).integers(0, 256, (9, 13, 3), dtype=np.uint8)
GREY = COLOURS[..., 0]
ALPHA = COLOURS[..., 1]
TABLE = np.array([[200, 10, 20], [0, 0, 0], [1, 2, 3]], dtype=np.uint8)
"""A palette for ``GREY % 3``."""

_ROWS, _COLUMNS = np.mgrid[:48, :64]
SMOOTH = np.stack([2 * _ROWS + _COLUMNS, _ROWS + 3 * _COLUMNS, np.full_like(_ROWS, 90)], axis=2).astype(np.uint8)
"""For lossy formats, which keep it within a few steps."""


def thrice(grey: Any) -> Any:
    """(h, w) as RGB."""
    return np.repeat(np.asarray(grey)[..., None], 3, axis=2)


def over_white(colour: Any, alpha: Any) -> Any:
    """Colour (h, w, 3) with alpha (h, w) of 0..255 over white."""
    share = np.asarray(alpha, dtype=float)[..., None] / 255
    return np.rint(colour * share + 255 * (1 - share))


def encode(image: Any, kind: str, **how: Any) -> bytes:
    """The file of an array or PIL image."""
    out = BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(out, kind, **how)
    return out.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    """A PNG chunk."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(size: tuple[int, int], depth: int, colour: int, rows: bytes, *extra: bytes, interlaced: bool = False) -> bytes:
    """A PNG of ``size`` (h, w) from raw rows, each with its filter byte; what Pillow cannot write."""
    header = struct.pack(">IIBBBBB", size[1], size[0], depth, colour, 0, 0, interlaced)
    body = b"".join(extra) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body


def rows(samples: Any) -> bytes:
    """Unfiltered PNG rows of whole-byte samples (h, w) or (h, w, c), big-endian."""
    return b"".join(b"\0" + row.tobytes() for row in samples.astype(samples.dtype.newbyteorder(">")))


def tiff(samples: Any, photometric: int, *, length: int = 0, order: str = "<") -> bytes:
    """An uncompressed TIFF of one strip of (h, w) or (h, w, c) samples; ``length`` claims other rows than there are."""
    height, width, channels = (samples if samples.ndim == 3 else samples[..., None]).shape
    data = samples.astype(samples.dtype.newbyteorder(order)).tobytes()
    bits = [8 * samples.dtype.itemsize] * channels
    entries = {
        256: width,
        257: length or height,
        258: bits[0] if channels == 1 else 8 + len(data),  # one lies here, several behind the pixels
        262: photometric,
        273: 8,
        277: channels,
        278: height,
        279: len(data),
        339: {"u": 1, "i": 2, "f": 3}[samples.dtype.kind],
    }
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, 8 + len(data) + 4 * channels)
    directory = struct.pack(f"{order}H", len(entries))
    for tag, value in entries.items():
        directory += struct.pack(f"{order}HHII", tag, 4, channels if tag == 258 else 1, value)
    return head + data + struct.pack(f"{order}{channels}I", *bits) + directory + bytes(4)
