"""Image files in the cells of a table: bytes, or the path of a file, read on demand."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal

from argus_core.errors import ArgusError
from argus_core.image import suffix_of

if TYPE_CHECKING:
    from datasets import Dataset

ZIP = "zip://"


class ImageColumn:
    """A column of images; paths in it are taken below ``root``, or else where the process runs, as the library does."""

    def __init__(self, table: Dataset, name: str, split: str, root: Path) -> None:
        self.table, self.name, self.split, self.root = table, name, split, root
        files = [os.stat(entry["filename"]) for entry in table.cache_files]
        self.stamp = "-".join(f"{status.st_size}.{status.st_mtime_ns}" for status in files)

    def content(self, row: int) -> tuple[memoryview | None, str]:
        """The bytes in a cell, None if there are none, and its path, empty if there is none."""
        cell = self.table.data.column(self.name)[row]
        if not cell.is_valid:
            return None, ""
        data = cell["bytes"]
        return memoryview(data.as_buffer()) if data.is_valid else None, cell["path"].as_py() or ""

    def paths(self) -> list[str]:
        """The path in every cell, empty where there is none; bytes are not touched."""
        return [path or "" for chunk in self._chunks() for path in chunk]

    def missing(self) -> list[int]:
        """The rows that hold neither bytes nor a path."""
        chunks = self.table.data.column(self.name).chunks
        empty = (
            not (cell and (data or path))
            for chunk in chunks
            for cell, data, path in zip(
                chunk.is_valid().to_pylist(),
                chunk.field("bytes").is_valid().to_pylist(),
                chunk.field("path").to_pylist(),
                strict=True,
            )
        )
        return [row for row, is_empty in enumerate(empty) if is_empty]

    def _chunks(self) -> Iterator[Sequence[str | None]]:
        for chunk in self.table.data.column(self.name).chunks:
            yield chunk.field("path").to_pylist()


@dataclass(frozen=True)
class Cell:
    """The image file in one row, with what annotation layers ask of a path."""

    column: ImageColumn
    row: int

    def __str__(self) -> str:
        _, path = self.column.content(self.row)
        name = f" ({os.path.basename(path)})" if path else ""
        return f"{self.column.split}, {self.column.name} of row {self.row}{name}"

    @property
    def suffix(self) -> str:
        """The ending of the name that the cell gives, empty if it gives none."""
        return suffix_of(self.column.content(self.row)[1])

    def is_file(self) -> bool:
        """Whether the cell holds anything; a file that it names may still be missing."""
        data, path = self.column.content(self.row)
        return data is not None or bool(path)

    def open(self, mode: Literal["rb"] = "rb", /) -> IO[bytes]:
        """The content, under a name for messages; raises ArgusError if it is neither here nor in a file."""
        data, path = self.column.content(self.row)
        if data is not None:
            return _Named(data, str(self))
        if path.startswith(ZIP):
            return _Named(_from_archive(path, str(self)), str(self))
        if "://" in path:
            raise ArgusError(f"{self}: the image is not in the table but at {path}; save the data set with its images")
        try:
            return self._place(path).open(mode)
        except OSError as error:
            raise ArgusError(f"{self}: {self._place(path)} cannot be read: {error.strerror or error}") from error

    def stamp(self) -> str:
        """Changes with the table that holds the bytes, or with the file that the cell names."""
        data, path = self.column.content(self.row)
        if data is not None:
            return f"{self.column.stamp}-{self.row}"
        try:
            status = os.stat(path.rpartition("::")[2] if path.startswith(ZIP) else self._place(path))
        except OSError as error:
            raise ArgusError(f"{self}: {path} cannot be read: {error.strerror or error}") from error
        return f"{status.st_size}-{status.st_mtime_ns}"

    def _place(self, path: str) -> Path:
        below = self.column.root / path
        return below if below.exists() else Path(path)


class _Named(BytesIO):
    """Bytes that ``read_image`` can name."""

    def __init__(self, data: bytes | memoryview, name: str) -> None:
        super().__init__(data)
        self.name = name


def _from_archive(path: str, where: str) -> bytes:
    """The member that ``zip://MEMBER::ARCHIVE`` names."""
    member, _, archive = path[len(ZIP) :].rpartition("::")
    try:
        return _archive(archive, os.getpid()).read(member)
    except (OSError, KeyError, ValueError, RuntimeError, zipfile.BadZipFile) as error:
        raise ArgusError(f"{where}: {archive} does not give {member}: {error}") from error


@lru_cache(maxsize=8)
def _archive(path: str, process: int) -> zipfile.ZipFile:
    """An archive, opened once in each process, as those that are forked would share the position in its file."""
    return zipfile.ZipFile(path)
