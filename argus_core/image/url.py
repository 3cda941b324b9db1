"""Images at web addresses: fetched with limits of time and size, or refused in a sentence."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from importlib.metadata import version
from typing import Any, TypeVar

from argus_core.common.offline import offline
from argus_core.errors import ArgusError

T = TypeVar("T")
LIMIT = 64 * 2**20
"""Bytes of an image, at most."""
SILENCE = 15.0
"""Seconds that a server may say nothing."""
PATIENCE = 60.0
"""Seconds that an image may take in all."""


def is_url(source: Any) -> bool:
    """Whether this is an address that begins with http:// or https://."""
    return isinstance(source, str) and source.lower().startswith(("http://", "https://"))


def fetch(url: str) -> bytes:
    """What lies at an address; ``ARGUS_OFFLINE=1`` forbids to ask. Raises ArgusError with the reason in a sentence."""
    return _ask(url, _read)


def media_type(url: str) -> str:
    """What a server says that it has, as ``image`` or ``video``; nothing of it is read."""
    return _ask(url, lambda response: str(response.headers.get_content_maintype()))


def _ask(url: str, read: Callable[[Any], T]) -> T:
    if offline():
        raise ArgusError(f"{url}: not fetched, because ARGUS_OFFLINE forbids it; give a file")
    try:
        with urllib.request.urlopen(_request(url), timeout=SILENCE) as response:
            return read(response)
    except (OSError, HTTPException, ValueError) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        raise ArgusError(f"{url}: cannot be fetched ({_reason(error)})") from error


def _request(url: str) -> urllib.request.Request:
    agent = f"argus-perception/{version('argus-perception')} (one image for a user)"
    return urllib.request.Request(url, headers={"User-Agent": agent, "Accept": "image/*, */*;q=0.5"})


def _read(response: Any) -> bytes:
    """All bytes, unless they are too many or take too long."""
    began, blocks, size = time.monotonic(), [], 0
    while block := response.read1(1 << 16):
        blocks.append(block)
        size += len(block)
        if size > LIMIT:
            raise ValueError(f"it is larger than {LIMIT >> 20} MiB")
        if time.monotonic() - began > PATIENCE:
            raise ValueError(f"it takes longer than {PATIENCE:.0f} s")
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
