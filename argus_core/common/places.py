"""Places: paths of this machine and addresses of object stores, which are used alike."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from argus_core.common.address import PATTERN, Address, Listed
from argus_core.common.listings import remember
from argus_core.common.stores import patiently
from argus_core.errors import ArgusError

__all__ = ["Address", "as_local", "place", "snapshot", "stamp_of"]


def place(path: str | Path) -> Path:
    """A path of this machine, or an ``Address`` for what begins like s3://BUCKET; ``file://`` is of this machine.

    Raises ArgusError for an address that names no bucket.
    """
    found = None if isinstance(path, Address) else PATTERN.fullmatch(str(path))
    if found is None:
        return path if isinstance(path, Path) else Path(path)
    if not found[2]:
        raise ArgusError(f"{path} names no bucket; write {found[1]}://BUCKET/NAME")
    return Path(f"/{found[2]}") if found[1] == "file" else Address(f"{found[1].lower()}://{found[2]}")


def snapshot(path: Path) -> Path:
    """The same path; all that lies below an address is asked of its store now, and not again while it is read.

    For data sets and finished caches, which do not change. Of an object, the folder that it lies in is listed.
    """
    if not isinstance(path, Address):
        return path
    root = path.parent if path.is_file() else path
    key = root.key
    try:
        found = patiently(root, lambda: root._store.find(key, detail=True))
    except FileNotFoundError:  # not even the bucket is there
        found = {}
    remember(str(root), {name[len(key) :].strip("/"): info for name, info in found.items() if name != key})
    return Listed(str(path))


@contextmanager
def as_local(path: Path) -> Iterator[Path]:
    """A file of this machine with the content of ``path``: itself, or a copy that is removed at the end."""
    if not isinstance(path, Address):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="argus-") as folder:
        copy = Path(folder, path.name)
        path.fetch(copy)
        yield copy


def stamp_of(path: Path) -> str:
    """A cheap value that changes with a file: its size, and the time of its last change or the version in its store."""
    if isinstance(path, Address):
        entry = path.existing()
        return f"{entry.size}-{entry.version}"
    status = os.stat(path)
    return f"{status.st_size}-{status.st_mtime_ns}"
