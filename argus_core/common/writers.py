"""A name of this process, for its temporary files and claims, by which others can tell whether it has ended."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import secrets
from functools import cache
from pathlib import Path

_WRITER = re.compile(r"([0-9a-f]{8})-(\d+)-[0-9a-f]{6}")
_SEEN_TOGETHER = ("/proc/sys/kernel/random/boot_id", "/proc/self/ns/pid")


def this_writer() -> str:
    """Machine, process number and a random part, such as ``3f9a1c2e-4711-8c1d03``; a forked process has its own."""
    return _named(os.getpid())


def is_gone(writer: str) -> bool:
    """Whether a writer is known to have ended: only one of this machine can be, and only on POSIX systems."""
    found = _WRITER.fullmatch(writer)
    if found is None or found[1] != _machine() or os.name != "posix":
        return False
    if int(found[2]) == os.getpid():
        return writer != this_writer()
    try:
        os.kill(int(found[2]), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


@cache
def _named(pid: int) -> str:
    return f"{_machine()}-{pid}-{secrets.token_hex(3)}"


@cache
def _machine() -> str:
    """What processes have in common that see each other's numbers: one boot of one machine, one container."""
    marks = [platform.node(), *map(_content, _SEEN_TOGETHER)]
    return hashlib.sha256("\n".join(marks).encode()).hexdigest()[:8]


def _content(name: str) -> str:
    try:
        return os.readlink(name) if Path(name).is_symlink() else Path(name).read_text()
    except OSError:
        return ""
