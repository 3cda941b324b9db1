"""Images that clients send, as RGB bytes, within the limits of the server."""

from __future__ import annotations

import asyncio
import os
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from io import BytesIO
from typing import ParamSpec, TypeVar

from PIL import Image, UnidentifiedImageError

from argus_core.errors import ArgusError
from argus_core.image import read_image
from argus_core.image.array import RGB
from argus_core.serve.refusal import Refusal
from argus_core.serve.settings import MEGA, Settings

P = ParamSpec("P")
T = TypeVar("T")
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM")
"""Pillow's names of the formats that are read: few decoders, as strangers choose what they get."""
WORKERS = ThreadPoolExecutor(max(2, os.cpu_count() or 1), thread_name_prefix="argus-image")
"""Threads that decode and encode, beside that of the model; few, as each may hold a large image."""


async def apart(call: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """What a call returns or raises, made on one of ``WORKERS``."""
    return await asyncio.get_running_loop().run_in_executor(WORKERS, partial(call, *arguments, **named))


async def decode(data: bytes, settings: Settings) -> RGB:
    """The upright image (h, w, 3) of a file's bytes; raises ``Refusal`` for what is no image, or too large a one."""
    return await apart(decode_now, data, settings)


def decode_now(data: bytes, settings: Settings) -> RGB:
    """The same on this thread; the size is checked before a pixel is decoded."""
    measure(data, settings)
    try:
        return read_image(data)
    except ArgusError as error:
        raise Refusal(str(error)) from error


def measure(data: bytes, settings: Settings) -> int:
    """The number of pixels that a file says it has; raises ``Refusal`` if it is no image, or has too many."""
    if not data:
        raise Refusal("the image is empty", 400)
    try:
        with Image.open(BytesIO(data), formats=formats()) as image:
            width, height = image.size
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large("the image has too many pixels", settings) from error
    except UnidentifiedImageError as error:
        raise Refusal(f"this is no image of a known format; known are {', '.join(formats())}", 415) from error
    except Exception as error:  # decoders raise anything on a broken file
        raise Refusal(f"the image cannot be read ({error})") from error
    if width * height > settings.max_pixels or max(width, height) > settings.max_side:
        raise _too_large(f"the image has {width}x{height} px (width x height)", settings)
    return width * height


@cache
def formats() -> tuple[str, ...]:
    """Those of ``FORMATS`` that this Pillow reads."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _too_large(fault: str, settings: Settings) -> Refusal:
    limits = f"{settings.max_pixels / MEGA:g} megapixels and sides of {settings.max_side} px"
    return Refusal(f"{fault}; allowed are {limits}", 413)


def from_base64(text: str) -> bytes:
    """The bytes of base64, or of a data URL; raises ``Refusal`` for any other text."""
    body = text.partition(",")[2] if text.startswith("data:") else text
    try:
        return b64decode("".join(body.split()), validate=True)
    except (NotBase64, ValueError) as error:
        raise Refusal(f"the image is not valid base64 ({error})", 400) from error
