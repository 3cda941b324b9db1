"""Fetching images from web addresses, with limits of time and size."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Callable
from functools import partial
from http.client import HTTPException, HTTPResponse
from importlib.metadata import version
from typing import Any, TypeAlias, TypeVar

from argus_core.common.offline import offline
from argus_core.errors import ArgusError

T = TypeVar("T")
Open: TypeAlias = Callable[..., Any]
LIMIT = 64 * 2**20
"""The most bytes of an image."""
SILENCE = 15.0
"""The most seconds without an answer from the server."""
PATIENCE = 60.0
"""The most seconds that an image may take in total."""


def is_url(source: Any) -> bool:
    """Whether this is an address that begins with http:// or https://."""
    return isinstance(source, str) and source.lower().startswith(("http://", "https://"))


def fetch(url: str, limit: int | None = None, timeout: float | None = None, open: Open | None = None) -> bytes:
    """The content at an address; raises ArgusError with the reason, and always with ``ARGUS_OFFLINE=1``.

    ``limit`` is in bytes, by default ``LIMIT``, and ``timeout`` in seconds, by default ``PATIENCE``; ``open`` is called
    in place of ``urllib.request.urlopen``.
    """
    return _request(url, partial(_read, limit=limit or LIMIT, timeout=timeout or PATIENCE), open)


def media_type(url: str) -> str:
    """The media type that the server states, such as ``image`` or ``video``; the content is not read."""
    return _request(url, lambda response: str(response.headers.get_content_maintype()))


def _request(url: str, read: Callable[[HTTPResponse], T], open: Open | None = None) -> T:
    if offline():
        raise ArgusError(f"{url}: not fetched, because ARGUS_OFFLINE forbids it; give a file")
    agent = f"argus-perception/{version('argus-perception')} (one image for a user)"
    try:
        request = urllib.request.Request(url, headers={"User-Agent": agent, "Accept": "image/*, */*;q=0.5"})
        with (open or urllib.request.urlopen)(request, timeout=SILENCE) as response:
            return read(response)
    except (OSError, HTTPException, ValueError) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        raise ArgusError(f"{url}: cannot be fetched ({_reason(error)})") from error


def _read(response: HTTPResponse, limit: int, timeout: float) -> bytes:
    """All bytes; raises ValueError if they are too many or take too long."""
    start, blocks, size = time.monotonic(), [], 0
    while block := response.read1(1 << 16):
        blocks.append(block)
        size += len(block)
        if size > limit:
            raise ValueError(f"it is larger than {limit >> 20} MiB")
        if time.monotonic() - start > timeout:
            raise ValueError(f"it takes longer than {timeout:.0f} s")
    if size < int(response.headers.get("Content-Length") or 0):
        raise ValueError("the connection broke")
    return b"".join(blocks)


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"the server answers {error.code} {error.reason}"
    inner = getattr(error, "reason", error)
    if isinstance(inner, TimeoutError):
        return f"no answer in {SILENCE:.0f} s"
    return getattr(inner, "strerror", None) or str(inner) or type(inner).__name__
