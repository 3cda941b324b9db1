"""Addresses of object stores, which are used as paths are."""

from __future__ import annotations

import io
import os
import re
import stat
from collections.abc import Callable, Generator, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PosixPath
from typing import IO, Any, TypeVar

from argus_core.common.listings import FOLDER, Entry, entry_of, listing_of
from argus_core.common.ranges import Range, read_ranges
from argus_core.common.stores import clear_uploads, file_system, patiently
from argus_core.errors import ArgusError

T = TypeVar("T")
LARGE = 100 << 20
"""Bytes above which objects are sent in parts, which stay when the process is killed."""
PATTERN = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+(.*)", re.DOTALL)
"""Two letters at least, because C:/ is a drive."""


class Address(PosixPath):
    """An object, or the folder of all objects whose names begin alike, in a store that fsspec knows.

    Folders need not be made and cannot be empty. Objects are replaced whole: see ``files.write_atomic``. Methods raise
    ArgusError where the store cannot be used.
    """

    def __str__(self) -> str:
        return super().__str__().replace(":/", "://", 1)

    @property
    def path(self) -> Address:
        """Itself, as an entry of a folder has it."""
        return self

    @property
    def key(self) -> str:
        """What the store calls it."""
        return str(self._store._strip_protocol(str(self)))

    @property
    def _store(self) -> Any:
        return file_system(str(self).partition(":")[0])

    def entry(self) -> Entry | None:
        """What lies here, as the store says now; None if nothing does."""
        if not PATTERN.fullmatch(str(self)):  # a path of another machine, in an annotation
            return None
        try:
            return entry_of(patiently(self, lambda: self._store.info(self.key)))
        except (FileNotFoundError, NotADirectoryError):
            return None

    def exists(self, **_: Any) -> bool:
        """Whether there is an object or a folder."""
        return self.entry() is not None

    def is_file(self, **_: Any) -> bool:
        """Whether there is an object."""
        entry = self.entry()
        return entry is not None and not entry.folder

    def is_dir(self, **_: Any) -> bool:
        """Whether there are objects below it."""
        entry = self.entry()
        return entry is not None and entry.folder

    def is_symlink(self) -> bool:
        """Stores have no links."""
        return False

    def stat(self, **_: Any) -> os.stat_result:
        """Size and kind; all times are 0."""
        entry = self.existing()
        mode = stat.S_IFDIR | 0o755 if entry.folder else stat.S_IFREG | 0o644
        return os.stat_result((mode, 0, 0, 1, 0, 0, entry.size, 0, 0, 0))

    def existing(self) -> Entry:
        """What lies here; raises FileNotFoundError if nothing does."""
        entry = self.entry()
        if entry is None:
            raise FileNotFoundError(2, "no such object or folder", str(self))
        return entry

    def children(self) -> dict[str, Entry]:
        """What lies in a folder, by name; nothing in one that is not there, because empty ones cannot be."""
        try:
            found = patiently(self, lambda: self._store.ls(self.key, detail=True))
        except (FileNotFoundError, NotADirectoryError):
            return {}
        named = ((str(info["name"]).rstrip("/"), info) for info in found)
        return {name.rpartition("/")[2]: entry_of(info) for name, info in named if name != self.key}

    def iterdir(self) -> Generator[Address, None, None]:
        """The objects and folders in a folder."""
        return (self / name for name in self.children())

    def glob(self, pattern: str, **_: Any) -> Iterator[Address]:  # type: ignore[override]
        """What fits a pattern, in which the case of letters counts."""
        return _matches(self, pattern.split("/"))

    def rglob(self, pattern: str, **_: Any) -> Iterator[Address]:  # type: ignore[override]
        """What fits a pattern here or in any folder below."""
        return self.glob(f"**/{pattern}")

    def open(  # type: ignore[override]
        self, mode: str = "r", buffering: int = -1, encoding: str | None = None, *text: Any, **more: Any
    ) -> IO[Any]:
        """A file in memory with the content; only to be read."""
        if mode not in ("r", "rt", "rb"):
            raise io.UnsupportedOperation(f"{self}: objects are written whole, not in mode {mode!r}")
        content = io.BytesIO(self.content())
        return content if mode == "rb" else io.TextIOWrapper(content, encoding or "utf-8", *text, **more)

    def content(self) -> bytes:
        """All bytes, as the store has them now."""
        return bytes(patiently(self, lambda: self._store.cat_file(self.key)))

    def fetch(self, file: Path) -> None:
        """Copy the object to a file of this machine."""
        patiently(self, lambda: self._store.get_file(self.key, str(file)))

    def put(self, file: Path) -> None:
        """Replace the object by a file of this machine, which readers see at once when all of it has arrived."""
        self._write(lambda: self._store.put_file(str(file), self.key))
        if file.stat().st_size >= LARGE:
            patiently(self, lambda: clear_uploads(self._store, self.key))

    def put_new(self, content: bytes) -> bool:
        """Create the object unless it exists; whether this call did. The store must know conditional requests."""

        def request() -> bool:
            try:
                self._store.pipe_file(self.key, content, mode="create")
            except OSError as error:
                if not _is_taken(error):
                    raise
                return self._holds(content)  # the answer to an earlier attempt may have been lost
            return True

        return self._write(request)

    def _holds(self, content: bytes) -> bool:
        try:
            return self.content() == content
        except FileNotFoundError:  # its writer removed it after the refusal, as claims are
            return False

    def move(self, target: Address) -> None:
        """Give the object another name: it is there under the new one before it has lost this one."""
        patiently(self, lambda: self._store.cp_file(self.key, target.key))
        self.unlink(missing_ok=True)

    def unlink(self, missing_ok: bool = False) -> None:
        """Remove the object."""
        try:
            patiently(self, lambda: self._store.rm_file(self.key))
        except FileNotFoundError:
            if not missing_ok:
                raise

    def _write(self, request: Callable[[], T]) -> T:
        try:
            return patiently(self, request)
        except FileNotFoundError as error:
            bucket = "/".join(self.parts[:2]).replace(":/", "://", 1)
            raise ArgusError(f"{self} cannot be written: there is no {bucket}; create it, or choose another") from error

    def mkdir(self, *_: Any, **__: Any) -> None:
        """Nothing: a folder is there with its first object."""

    def absolute(self) -> Address:
        """Itself."""
        return self

    def resolve(self, strict: bool = False) -> Address:
        """Itself."""
        return self

    def expanduser(self) -> Address:
        """Itself."""
        return self

    def samefile(self, other: object) -> bool:
        """Whether two addresses are equal."""
        return str(self) == str(other)


class Listed(Address):
    """An address in a listing that was made when this process opened it, as are all addresses derived from it.

    Nothing asks the store again what is there, and what is read is kept on this machine. In a process without the
    listing, such as a spawned data-loader worker, the store is asked.
    """

    @property
    def _plain(self) -> str:
        """The address without ``..``."""
        return str(type(self)(os.path.normpath(self)))

    def entry(self) -> Entry | None:
        """What lies here as it was listed; None if nothing does."""
        text, listing = self._plain, listing_of(self._plain)
        if listing is None:
            return super().entry()
        folder, _, name = text.rpartition("/")
        return FOLDER if text in listing else listing.get(folder, {}).get(name)

    def children(self) -> dict[str, Entry]:
        """What lies in a folder as it was listed, by name."""
        listing = listing_of(self._plain)
        return super().children() if listing is None else listing.get(self._plain, {})

    def content(self) -> bytes:
        """All bytes, kept on this machine."""
        entry = self.existing()
        if entry.folder:
            raise IsADirectoryError(21, "a folder, not an object", str(self))
        return read_ranges([Range(self._plain, entry.version, 0, entry.size)])[0]


def _matches(folder: Address, parts: Sequence[str]) -> Iterator[Address]:
    if not parts:
        yield folder
        return
    first, rest = parts[0], parts[1:]
    if first == "**":
        yield from _matches(folder, rest)
        for name, entry in folder.children().items():
            if entry.folder:
                yield from _matches(folder / name, parts)
    elif any(sign in first for sign in "*?["):
        for name, entry in folder.children().items():
            if fnmatchcase(name, first) and (entry.folder or not rest):
                yield from _matches(folder / name, rest)
    elif (folder / first).exists():
        yield from _matches(folder / first, rest)


def _is_taken(error: OSError) -> bool:
    """Whether a conditional request failed because the object is there."""
    answer = getattr(error.__cause__, "response", None) or {}
    return isinstance(error, FileExistsError) or answer.get("Error", {}).get("Code") == "PreconditionFailed"
