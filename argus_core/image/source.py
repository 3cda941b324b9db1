"""Opening images from paths, addresses, bytes and files, with a name for error messages."""

from __future__ import annotations

import os
import stat
from io import BytesIO
from typing import IO, Any

from PIL import Image, UnidentifiedImageError

from argus_core.common.places import Address
from argus_core.errors import ArgusError
from argus_core.image.folder import UNREAD, suffix_of
from argus_core.image.url import fetch, is_url

_LONGEST = 300
"""The most characters of a path in a message."""


def open_source(source: Any) -> tuple[IO[bytes], str]:
    """A seekable binary file of a path, bytes or a readable object, and its name in messages."""
    if is_url(source):
        return _not_empty(BytesIO(fetch(source)), printable(source))
    if isinstance(source, (str, os.PathLike)):
        return _open_path(source)
    kind = type(source).__name__
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _not_empty(BytesIO(source), f"the given {kind}")
    if not hasattr(source, "read"):
        raise ArgusError(
            f"an image is a path, an address, bytes, a file, a PIL image, an array or a tensor, not {kind}"
        )
    path = getattr(source, "name", None)
    name = printable(path) if isinstance(path, str) else f"the given {kind}"
    try:
        if getattr(source, "seekable", bool)():
            source.seek(0)
        file = BytesIO(source.read())
    except Exception as error:  # closed, opened as text, or not a real file
        raise unreadable(name, error) from error
    return _not_empty(file, name)


def _open_path(path: str | os.PathLike[str]) -> tuple[IO[bytes], str]:
    name = printable(path)
    try:
        if isinstance(path, Address):
            return _not_empty(path.open("rb"), name)
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode):  # opening a pipe could wait forever
            kind = "folder" if stat.S_ISDIR(mode) else "pipe or a device"
            raise ArgusError(f"{name}: no such file; it is a {kind}")
        return _not_empty(open(path, "rb"), name)
    except FileNotFoundError as error:
        raise ArgusError(f"{name or repr(name)}: no such file") from error
    except (OSError, ValueError) as error:
        raise unreadable(name, error) from error


def _not_empty(file: IO[bytes], name: str) -> tuple[IO[bytes], str]:
    if file.seek(0, os.SEEK_END):
        file.seek(0)
        return file, name
    file.close()
    raise unreadable(name, ArgusError("it is empty"))


def printable(path: str | os.PathLike[str]) -> str:
    """A path for messages: shortened if long, with escapes for characters that cannot be printed."""
    name = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in os.fsdecode(path))
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST // 2]}...{name[-_LONGEST // 2 :]}"


def unreadable(name: str, error: Exception) -> ArgusError:
    """The error for an image that cannot be read."""
    return ArgusError(f"{name}: cannot be read as an image ({_reason(error)}){_remedy(name, error)}")


def _remedy(name: str, error: Exception) -> str:
    if isinstance(error, (Image.DecompressionBombError, Image.DecompressionBombWarning)):
        return "; if you trust the file, raise PIL.Image.MAX_IMAGE_PIXELS"
    if not isinstance(error, UnidentifiedImageError):
        return ""
    suffix = suffix_of(name)
    if suffix == ".avif" and ".avif" not in Image.registered_extensions():
        return "; Pillow 11.3 and later read AVIF"
    return "; convert it to JPEG or PNG" if suffix in UNREAD else ""


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "its content is of no format that Pillow knows"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
