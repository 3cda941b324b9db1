"""Parts of remote files, kept on this machine within a bound that all processes share."""

from __future__ import annotations

import hashlib
import os
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path

from argus_core.errors import ArgusError

SIZE, FOLDER = "ARGUS_CACHE_BYTES", "ARGUS_CACHE_DIR"
"""Environment variables: the bound in bytes, 0 to keep nothing, and the folder."""
DEFAULT = 8 << 30
_DIGEST = hashlib.sha256().digest_size


class RangeCache:
    """A folder of contents by key, of which the least recently used ones are removed above ``bound`` bytes.

    Contents are written whole or not at all, and checked when they are read for the first time: one that a kill or a
    full disk damaged counts as missing. Any number of processes may use a folder; each may exceed the bound by a
    thirty-second of it.
    """

    def __init__(self, folder: Path, bound: int) -> None:
        self.folder, self.bound = folder, bound
        self._checked: set[str] = set()
        self._fresh = bound  # so that what earlier processes left is counted before anything is added

    def get(self, key: str) -> bytes | None:
        """What was kept under a key; None if nothing is."""
        file = self._file(key)
        try:
            with file.open("rb") as stream:
                digest, content = stream.read(_DIGEST), stream.read()
            os.utime(file)  # removed last
        except OSError:
            return None
        if file.name in self._checked:
            return content
        if hashlib.sha256(content).digest() == digest:
            self._checked.add(file.name)
            return content
        file.unlink(missing_ok=True)
        return None

    def put(self, key: str, content: bytes) -> None:
        """Keep a content if there is room: more than a quarter of the bound is not kept, and no error is raised."""
        if len(content) > self.bound // 4:
            return
        if self._fresh + len(content) > self.bound // 32:
            self._remove_oldest()
        with suppress(OSError):  # a full or write-protected disk
            self.folder.mkdir(parents=True, exist_ok=True)
            self._write(self._file(key), content)
            self._fresh += len(content)

    def _file(self, key: str) -> Path:
        return self.folder / hashlib.sha256(key.encode(errors="surrogateescape")).hexdigest()

    def _write(self, file: Path, content: bytes) -> None:
        handle, temporary = tempfile.mkstemp(dir=self.folder)
        try:
            with open(handle, "wb") as stream:
                stream.write(hashlib.sha256(content).digest())
                stream.write(content)
            os.replace(temporary, file)
        except BaseException:
            os.unlink(temporary)
            raise

    def _remove_oldest(self) -> None:
        """Remove what was used longest ago, and with it what killed processes left half-written."""
        self._fresh = 0
        files = []
        with suppress(OSError), os.scandir(self.folder) as entries:
            for entry in entries:
                with suppress(OSError):  # another process removed it
                    status = entry.stat()
                    files.append((status.st_mtime_ns, status.st_size, entry.path))
        excess = sum(size for _, size, _ in files) - self.bound * 15 // 16
        for _, size, path in sorted(files):
            if excess <= 0:
                return
            with suppress(OSError):
                os.unlink(path)
            excess -= size


def range_cache() -> RangeCache:
    """The cache of this user, as the environment describes it; raises ArgusError for a bound that is no number."""
    bound = os.environ.get(SIZE, "") or str(DEFAULT)
    if not bound.isdecimal():
        raise ArgusError(f"{SIZE}={bound} is no number of bytes; give one such as {DEFAULT}, or 0 to keep nothing")
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    folder = os.environ.get(FOLDER) or os.path.join(base, "argus")
    return _opened(os.path.expanduser(folder), int(bound))


@cache
def _opened(folder: str, bound: int) -> RangeCache:
    return RangeCache(Path(folder), bound)
