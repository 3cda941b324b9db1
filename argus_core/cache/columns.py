"""Columns of a table that is larger than memory: written row after row, read by a memory map.

The file is a safetensors file. Texts are a column of bytes, and a column of where each text ends.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from argus_core.common.places import as_local

Array = npt.NDArray[Any]
Columns = Mapping[str, Array]
Kind = tuple[str, tuple[int, ...]]
"""The type of a column's values (``i8``, ``i4`` or ``u1``), and the shape of a row."""
_IN_MEMORY = 8 << 20
_BLOCK = 1 << 20
_NAMES = {"i8": "I64", "i4": "I32", "u1": "U8"}
_CODES = {name: code for code, name in _NAMES.items()}


class ColumnWriter:
    """Collects rows of ``columns``, and of ``texts``."""

    def __init__(self, columns: Mapping[str, Kind], texts: Iterable[str]) -> None:
        self._kinds = kinds_of(columns, texts)
        self._files: dict[str, IO[bytes]] = {}
        for name in self._kinds:
            self._files[name] = SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115
        self._ends = dict.fromkeys(texts, 0)

    def add(self, name: str, rows: Any) -> None:
        """Append rows, an array or nested sequences, to a column."""
        code, shape = self._kinds[name]
        self._files[name].write(np.asarray(rows, f"<{code}").reshape(-1, *shape).tobytes())

    def add_texts(self, name: str, texts: Sequence[bytes]) -> None:
        """Append texts."""
        ends = self._ends[name] + np.cumsum([len(text) for text in texts], dtype=np.int64)
        self._ends[name] = int(ends[-1]) if len(ends) else self._ends[name]
        self.add(f"{name}.ends", ends)
        self._files[name].write(b"".join(texts))

    def arrays(self) -> Columns:
        """The columns in memory."""
        return {name: _array(np.frombuffer(self._content(name), np.uint8), *kind) for name, kind in self._kinds.items()}

    def write(self, path: Path) -> None:
        """Write the columns to a new file."""
        with path.open("wb") as out:
            out.write(header(self._kinds, {name: file.seek(0, 2) for name, file in self._files.items()}))
            for file in self._files.values():
                file.seek(0)
                while block := file.read(_BLOCK):
                    out.write(block)

    def close(self) -> None:
        """Drop the rows."""
        for file in self._files.values():
            file.close()

    def _content(self, name: str) -> bytes:
        self._files[name].seek(0)
        return self._files[name].read()


def kinds_of(columns: Mapping[str, Kind], texts: Iterable[str]) -> dict[str, Kind]:
    """The kinds of all columns in the order of the file, those of texts among them."""
    kinds = {**columns}
    for name in texts:
        kinds |= {f"{name}.ends": ("i8", ()), name: ("u1", ())}
    # The widest first, so that every column begins at a multiple of its width.
    return dict(sorted(kinds.items(), key=lambda item: -np.dtype(item[1][0]).itemsize))


def header(kinds: Mapping[str, Kind], sizes: Mapping[str, int]) -> bytes:
    """The first bytes of a file of columns, whose lengths in bytes are given."""
    entries, begin = {}, 0
    for name, (code, shape) in kinds.items():
        rows = sizes[name] // (np.dtype(code).itemsize * int(np.prod(shape)))
        end = begin + sizes[name]
        entries[name] = {"dtype": _NAMES[code], "shape": [rows, *shape], "data_offsets": [begin, end]}
        begin = end
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def map_columns(path: Path) -> Columns:
    """The columns of a file, of which only what is looked at is read."""
    with as_local(path) as file:  # which a map keeps when its name is gone
        raw = np.memmap(file, np.uint8, "r")
    length = 8 + int.from_bytes(raw[:8].tobytes(), "little")
    columns = {}
    for name, entry in json.loads(raw[8:length].tobytes()).items():
        first, last = entry["data_offsets"]
        columns[name] = _array(raw[length + first : length + last], _CODES[entry["dtype"]], tuple(entry["shape"][1:]))
    return columns


def texts_of(columns: Columns, name: str, first: int, last: int) -> list[bytes]:
    """Texts ``first`` to ``last`` of a column."""
    ends = columns[f"{name}.ends"][max(first - 1, 0) : last].tolist()
    if first == 0:
        ends = [0, *ends]
    whole = columns[name][ends[0] : ends[-1]].tobytes()
    return [whole[begin - ends[0] : end - ends[0]] for begin, end in pairwise(ends)]


def _array(content: Array, code: str, shape: tuple[int, ...]) -> Array:
    """(N, *shape) of the bytes of a column."""
    return content.view(f"<{code}").reshape(-1, *shape)
