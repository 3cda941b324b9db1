"""Writing files atomically, their digests, and JSON files with a checksum."""

from __future__ import annotations

import errno
import hashlib
import itertools
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Literal, Protocol

from argus_core.common.address import Address
from argus_core.common.writers import this_writer
from argus_core.errors import ArgusError

__all__ = ["Openable", "file_sha256", "json_sha256", "read_json", "write_atomic", "write_json", "write_text"]


class Openable(Protocol):
    """A file that may lie inside another one: a path, or what else opens; ``str`` of it is its name."""

    def open(self, mode: Literal["rb"], /) -> IO[bytes]:
        """The content, from its start."""
        ...


def write_atomic(path: Path, write: Callable[[Path], object], *, lasting: bool = True) -> None:
    """Call ``write`` with a temporary neighbour of ``path``, flush it to disk and move it into place.

    Without ``lasting`` it is not waited for the disk.
    """
    if isinstance(path, Address):
        with tempfile.TemporaryDirectory(prefix="argus-") as folder:
            write(Path(folder, path.name))
            path.put(Path(folder, path.name))
        return
    with _neighbour(path) as temporary:
        write(temporary)
        if lasting:
            _flush(temporary)
        os.replace(temporary, path)
        if lasting:
            _flush(path.parent)


def write_named(path: Path, name: Callable[[str], Path], write: Callable[[Path], object]) -> tuple[str, int]:
    """As ``write_atomic``, but to the neighbour of ``path`` that ``name`` makes of the content's sha256 (hex).

    ``write`` may use other files beside the one that it is called with. Returns the sha256 and the number of bytes.
    """
    beside = None
    if not isinstance(path, Address):
        beside = path.parent
        beside.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(".tmp", f".{path.name}.{this_writer()}.", beside) as folder:
        file = Path(folder, path.name)
        write(file)
        sha256, size = file_sha256(file), file.stat().st_size
        target = name(sha256)
        if isinstance(target, Address):
            target.put(file)
        else:
            _flush(file)
            os.replace(file, target)
            _flush(target.parent)
    return sha256, size


def create_exclusive(path: Path, content: bytes, *, lasting: bool = True) -> bool:
    """Write a file that must not exist yet; returns whether this call did: of several at once, one does.

    Without ``lasting`` it is not waited for the disk.
    """
    if isinstance(path, Address):
        return path.put_new(content)
    with _neighbour(path) as temporary:
        temporary.write_bytes(content)
        if lasting:
            _flush(temporary)
        created = _link(temporary, path)
        if lasting:
            _flush(path.parent)
        return created


def move(source: Path, target: Path) -> None:
    """Give a file that lies on the disk its other name, atomically; a missing one was moved already.

    It is not waited for the disk: after a crash the file may have its old name.
    """
    try:
        if isinstance(source, Address) and isinstance(target, Address):
            source.move(target)
        else:
            os.replace(source, target)
    except FileNotFoundError:
        return


_NUMBERS = itertools.count()


@contextmanager
def _neighbour(path: Path) -> Iterator[Path]:
    """A temporary name beside ``path`` that nobody else uses, and that is removed at the end."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArgusError(f"{path} cannot be written: {path.parent}: {error.strerror or error}") from error
    temporary = path.with_name(f".{path.name}.{this_writer()}.{next(_NUMBERS)}.tmp")
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


def _link(temporary: Path, path: Path) -> bool:
    """Give a file its name, unless that is taken."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        return temporary.stat().st_nlink == 2  # a network file system may have done it and lost the answer
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return _create(path, temporary.read_bytes())
    return True


def _create(path: Path, content: bytes) -> bool:
    """As ``create_exclusive`` where files cannot be linked; a process that is killed here leaves a part."""
    try:
        with path.open("xb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
    except FileExistsError:
        return False
    return True


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8, atomically; file names in it that are not valid UTF-8 keep their bytes."""
    write_atomic(path, lambda to: to.write_text(text, encoding="utf-8", errors="surrogateescape"))


def write_quickly(path: Path, text: str) -> None:
    """Write one of very many texts: atomically, and a hundred times as fast as if each waited for the disk."""
    content = text.encode("utf-8", "surrogateescape")
    write_atomic(path, lambda to: to.write_bytes(content), lasting=False)


def write_json(path: Path, values: Any) -> None:
    """Write ``values`` as indented JSON, atomically."""
    write_text(path, json.dumps(values, indent=2, sort_keys=False, allow_nan=False) + "\n")


def read_json(path: Path, remedy: str) -> Any:
    """Plain values of a JSON file; raises ArgusError with what to do if it is damaged or missing."""
    try:
        return json.loads(path.read_bytes())  # bytes, so that a byte-order mark is recognised
    except (OSError, ValueError) as error:
        raise ArgusError(f"{path} cannot be read as JSON ({error}); {remedy}") from error


def file_sha256(path: Openable) -> str:
    """sha256 (hex) of a file's bytes, read in blocks."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def json_sha256(values: Any) -> str:
    """sha256 (hex) of plain JSON values, independent of key order."""
    return hashlib.sha256(json.dumps(values, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_sealed(path: Path, values: dict[str, Any]) -> None:
    """Write ``values`` as JSON atomically, beginning with the sha256 of everything that follows."""
    content = sealed(values)
    write_atomic(path, lambda temporary: temporary.write_bytes(content))


def sealed(values: dict[str, Any]) -> bytes:
    """What ``write_sealed`` writes."""
    body = json.dumps(values, allow_nan=False)[1:].encode() + b"\n"
    return _seal(body) + body


def read_sealed(path: Path) -> dict[str, Any]:
    """Read a file of ``write_sealed``; raises ArgusError if it is missing or any byte differs."""
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
