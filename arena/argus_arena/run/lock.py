"""The lock of a run folder, so that no two processes train in it."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from argus_core.cache.claims import Claims, claim_path
from argus_core.common.places import Address
from argus_core.errors import ArgusError

LOCK = "run.lock"


class Taken(ArgusError):
    """Another process is at work in a run folder."""


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other processes out of a folder; raises Taken if one is at work there."""
    if isinstance(path, Address):
        with Claims(path) as claims:
            _claim(path, claims)
            yield
        return
    path.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path / LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise _taken(path) from error
    try:
        yield
    finally:
        lock.release()


def _claim(path: Address, claims: Claims) -> None:
    """Claim a folder in a store, which cannot tell whether the process that holds the newest claim is alive."""
    before: object = None
    while True:
        generation = _newest(path)
        if claims.take(0, generation):
            return
        now = generation, _content(path, generation)
        if before is None:
            print(f"{path} is claimed; waiting up to {claims.seconds:.0f} s for a sign of its process", file=sys.stderr)
        elif now != before:
            raise _taken(path)
        before = now
        time.sleep(claims.seconds / 8)


def _newest(path: Address) -> int | None:
    """The generation of the newest claim."""
    return max((int(file.name.split(".")[1]) for file in path.glob("*.claim")), default=None)


def _content(path: Address, generation: int | None) -> bytes:
    try:
        return b"" if generation is None else claim_path(path, 0, generation).read_bytes()
    except FileNotFoundError:  # released just now
        return b""


def _taken(path: Path) -> Taken:
    return Taken(f"another process is training in {path}; wait until it ends, or choose another --out")
