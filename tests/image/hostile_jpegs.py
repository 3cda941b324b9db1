"""JPEG files: colour models, scans, EXIF records, and cuts that decoders fill up without a word."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np
import PIL
from hostile_case import Case, bad, good
from hostile_images import SMOOTH, encode, thrice
from PIL import Image

LOSS = 12
UPRIGHT = {
    1: SMOOTH,
    2: SMOOTH[:, ::-1],
    3: SMOOTH[::-1, ::-1],
    4: SMOOTH[::-1],
    5: SMOOTH.swapaxes(0, 1),
    6: np.rot90(SMOOTH, -1),
    7: SMOOTH[::-1, ::-1].swapaxes(0, 1),
    8: np.rot90(SMOOTH),
}
XMP = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>"""


def jpeg(image: object = SMOOTH, **how: object) -> bytes:
    return encode(image, "JPEG", **{"quality": 95, **how})


def turned(orientation: int) -> bytes:
    """An EXIF record with nothing else."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


def colours() -> Iterator[Case]:
    """Grey, inks, subsampling and the order of the data."""
    yield good("plain.jpg", jpeg(), SMOOTH, LOSS)
    yield good("progressive.jpg", jpeg(progressive=True), SMOOTH, LOSS)
    yield good("halved.jpg", jpeg(subsampling=2), SMOOTH, LOSS)
    yield good("rgb.jpg", jpeg(keep_rgb=True), SMOOTH, LOSS)
    yield good("restarts.jpg", jpeg(restart_marker_rows=1), SMOOTH, LOSS)
    yield good("grey.jpg", jpeg(SMOOTH[..., 0]), thrice(SMOOTH[..., 0]), LOSS)
    inks = np.dstack([255 - SMOOTH, np.zeros(SMOOTH.shape[:2], np.uint8)])
    yield good("inks.jpg", jpeg(Image.fromarray(inks, mode="CMYK")), SMOOTH, LOSS)
    yield good("pixel.jpg", jpeg(SMOOTH[20:21, 20:21]), SMOOTH[20:21, 20:21], LOSS)
    flat = np.full((40, 56, 3), 200, np.uint8)
    yield good("flat.jpg", jpeg(flat), flat, 1)
    yield good("flat-progressive.jpg", jpeg(flat, progressive=True), flat, 1)


def wrapped() -> Iterator[Case]:
    """Other names, records and neighbours in one file."""
    yield good("a jpeg named.png", jpeg(), SMOOTH, LOSS)
    yield good("no-suffix", jpeg(), SMOOTH, LOSS)
    yield good("junk-behind.jpg", jpeg() + b"\xff\xd9 junk \xff\xda" * 9, SMOOTH, LOSS)
    pair = encode(SMOOTH, "MPO", save_all=True, append_images=[Image.fromarray(SMOOTH[::-1])], quality=95)
    yield good("stereo.mpo", pair, SMOOTH, LOSS)
    yield good("profile.jpg", jpeg(icc_profile=b"no profile" * 9), SMOOTH, LOSS)
    thumbnail = turned(1) + jpeg(SMOOTH[::4, ::4])
    yield good("thumbnail.jpg", jpeg(exif=thumbnail), SMOOTH, LOSS)
    packet = b"http://ns.adobe.com/xap/1.0/\0" + XMP
    segment = b"\xff\xe1" + struct.pack(">H", 2 + len(packet)) + packet
    if int(PIL.__version__.partition(".")[0]) >= 12:  # earlier ones know no orientation but that of EXIF
        yield good("xmp.jpg", jpeg()[:2] + segment + jpeg()[2:], UPRIGHT[6], LOSS)


def records() -> Iterator[Case]:
    """EXIF orientations, and records that cannot be read."""
    for orientation, expected in UPRIGHT.items():
        yield good(f"exif-{orientation}.jpg", jpeg(exif=turned(orientation)), expected, LOSS)
    yield good("exif-9.jpg", jpeg(exif=turned(9)), SMOOTH, LOSS)
    # A text where its standard wants a number: fine to read, but Pillow fails to write it again after turning.
    entries = struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0) + struct.pack("<HHI4s", 0x0201, 7, 4, b"text")
    odd = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", 2) + entries + bytes(4)
    yield good("exif-odd-entry.jpg", jpeg(exif=odd), UPRIGHT[6], LOSS)
    yield good("exif-garbage.jpg", jpeg(exif=b"Exif\0\0" + bytes(range(99))), SMOOTH, LOSS)
    cut = jpeg(exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    yield good("exif-cut.jpg", cut, SMOOTH, LOSS, warns=UserWarning)


def cut() -> Iterator[Case]:
    """Data that end early, with and without an end marker, which makes the decoder fill the rest with grey."""
    noise = np.random.default_rng(2).integers(0, 256, (64, 80, 3), dtype=np.uint8)
    ways = {"plain": {}, "halved": {"subsampling": 2}, "restarts": {"restart_marker_rows": 1}}
    for name, how in ways.items():
        whole = jpeg(noise, **how)
        yield bad(f"cut-{name}.jpg", whole[: len(whole) // 2], "truncated")
        for share in (0.3, 0.7, 0.95):
            part = whole[: int(share * len(whole))].rstrip(b"\xff")
            yield bad(f"ended-{name}-{share}.jpg", part + b"\xff\xd9", "end too early")
    whole = jpeg(noise, progressive=True)
    yield bad("cut-progressive.jpg", whole[: len(whole) // 2], "truncated")
    first = whole.index(b"\xff\xda")
    yield bad("ended-progressive.jpg", whole[: first + 60] + b"\xff\xd9", "end too early")
    grey = jpeg(noise[..., 0])
    yield bad("ended-grey.jpg", grey[: len(grey) // 2] + b"\xff\xd9", "end too early")
    size = whole.index(b"\xff\xc2") + 5
    yield bad("bomb.jpg", whole[:size] + b"\xff\xdc\xff\xdc" + whole[size + 4 :], "MAX_IMAGE_PIXELS")
    yield bad("no-tables.jpg", b"\xff\xd8\xff\xd9", "cannot be read")


def cases() -> Iterator[Case]:
    """All of them."""
    for part in (colours, wrapped, records, cut):
        yield from part()
