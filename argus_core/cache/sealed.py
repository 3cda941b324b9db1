"""JSON files that know when one of their own bytes has changed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from argus_core.errors import ArgusError
from argus_core.files import write_atomic


def write_sealed(path: Path, values: dict[str, Any]) -> None:
    """Write ``values`` atomically, headed by the sha256 of all that follows."""
    body = json.dumps(values, allow_nan=False)[1:].encode() + b"\n"
    write_atomic(path, lambda temporary: temporary.write_bytes(_seal(body) + body))


def read_sealed(path: Path) -> dict[str, Any]:
    """Read what ``write_sealed`` wrote; raises ArgusError if the file is missing or any byte differs."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ArgusError(f"{path}: cannot be read ({error.strerror}); is this an Argus feature cache?") from error
    head, body = raw[: len(_seal(b""))], raw[len(_seal(b"")) :]
    if head != _seal(body):
        raise ArgusError(f"{path}: damaged, not the bytes it was sealed with; delete it and run the same caching again")
    values: dict[str, Any] = json.loads(raw)
    del values["seal"]
    return values


def _seal(body: bytes) -> bytes:
    return b'{"seal": "' + hashlib.sha256(body).hexdigest().encode() + b'",'
