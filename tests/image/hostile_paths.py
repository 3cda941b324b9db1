"""Paths, streams and PIL images as they are handed over."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from io import BytesIO, RawIOBase, StringIO
from pathlib import Path
from typing import Any

import numpy as np
from hostile_case import Case, bad, good
from hostile_images import ALPHA, COLOURS, GREY, encode, over_white, thrice
from PIL import Image

PNG = encode(COLOURS, "PNG")


def kept(name: str, turn: Callable[[Path], Any] = Path) -> Callable[[Path], Any]:
    """A source made from the path of an image called ``name``."""

    def make(folder: Path) -> Any:
        path = folder / name
        path.write_bytes(PNG)
        return turn(path)

    return make


def link(folder: Path, target: str) -> Path:
    path = folder / f"link to {target}"
    path.symlink_to(folder / target)
    return path


def pipe(folder: Path) -> Path:
    os.mkfifo(folder / "pipe.jpg")
    return folder / "pipe.jpg"


class Stream(RawIOBase):
    """Bytes that come once, as from a socket."""

    def __init__(self, data: bytes) -> None:
        self.data = BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self.data.readinto(buffer)


def paths() -> Iterator[Case]:
    """Names that are hard, and names of what is no file."""
    yield good("unicode", kept("Зображення 画像 🦜 é.png"), COLOURS)
    yield good("quotes", kept('it\'s a "new\nline" %s {x}.png'), COLOURS)
    yield good("undecodable", kept("odd\udcff.png"), COLOURS)
    yield good("string", kept("string.png", str), COLOURS)
    yield good("longest-name", kept("n" * 251 + ".png"), COLOURS)
    yield good("link", lambda folder: (kept("target.png")(folder), link(folder, "target.png"))[1], COLOURS)
    yield bad("dangling", lambda folder: link(folder, "nothing.png"), r"link to nothing\.png: no such file")
    yield bad("missing", Path("nowhere.png"), r"nowhere\.png: no such file")
    yield bad("no-path", "", "'': no such file")
    yield bad("folder", lambda folder: folder, "no such file; it is a folder")
    yield bad("below-a-file", kept("file.png", lambda path: path / "a.png"), "Not a directory")
    yield bad("pipe", pipe, "no such file; it is a pipe")
    yield bad("device", "/dev/zero", "no such file; it is a pipe or a device")
    yield bad("zero-byte", "a\0b.png", r"a\\x00b\.png: cannot be read.*null")
    yield bad("too-long", "deep/" * 9999 + "a.png", r"^.{200,400}a\.png: .*too long")
    yield bad("address", "ftp://example.com/a.png", "no such file")
    yield bad("address-of-nobody", "http://127.0.0.1:1/a.png", r"a\.png: cannot be fetched \(.*refused")
    yield bad("address-without-host", "https:///a.png", r"a\.png: cannot be fetched")


def streams() -> Iterator[Case]:
    """File contents without a name."""
    yield good("bytes", lambda _: PNG, COLOURS)
    yield good("bytearray", bytearray(PNG), COLOURS)
    yield good("memoryview", memoryview(PNG), COLOURS)
    yield good("buffer", lambda _: BytesIO(PNG), COLOURS)
    yield good("open-file", kept("open.png", lambda path: path.open("rb", buffering=0)), COLOURS)
    yield good("stream", lambda _: Stream(PNG), COLOURS)
    yield bad("no-bytes", lambda _: b"", "given bytes: .*it is empty")
    yield bad("half-bytes", lambda _: PNG[:200], "given bytes: cannot be read.*truncated")
    yield bad("text-file", kept("text.png", lambda path: path.open(encoding="latin-1")), r"text\.png.*bytes")
    yield bad("text-stream", lambda _: StringIO("text"), "given StringIO: .*bytes")
    yield bad("number", 7, "not int")
    yield bad("nothing", None, "not NoneType")
    yield bad("list", [COLOURS], "not list")


def pillow() -> Iterator[Case]:
    """PIL images in modes that files rarely have."""
    image = Image.fromarray(COLOURS)
    both = np.dstack([COLOURS, ALPHA])
    yield good("mode-hsv", image.convert("HSV"), COLOURS, 12)
    yield good("mode-ycbcr", image.convert("YCbCr"), COLOURS, 4)
    yield good("mode-rgbx", image.convert("RGBX"), COLOURS)
    yield good("mode-rgba-premultiplied", Image.fromarray(both).convert("RGBa"), over_white(COLOURS, ALPHA), 2)
    grey = Image.merge("LA", [Image.fromarray(GREY), Image.fromarray(ALPHA)])
    yield good("mode-la-premultiplied", grey.convert("La"), over_white(thrice(GREY), ALPHA), 2)
    yield good("lazy", kept("lazy.png", Image.open), COLOURS)
    yield bad("lazy-half", lambda _: Image.open(BytesIO(PNG[:200])), "given RGB image: .*truncated")
    for mode in ("RGB", "L", "F"):
        yield bad(f"no-pixels-{mode}", Image.new(mode, (0, 5)), f"given {mode} image: .*no pixels")
    yield bad("closed", lambda _: closed(), "given RGB image: .*closed")


def closed() -> Image.Image:
    image = Image.fromarray(COLOURS)
    image.close()
    return image


def cases() -> Iterator[Case]:
    """All of them."""
    for part in (paths, streams, pillow):
        yield from part()
