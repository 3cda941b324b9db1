"""One shard file: which rows belong to which pass, their number format, and reading them."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from safetensors import safe_open
from torch import Tensor

from argus_core.cache.codec import Rows
from argus_core.cache.spec import FORMAT
from argus_core.errors import ArgusError
from argus_core.tokens import FeatureInfo, Needs, Tokens, cell_mask

IntArray = npt.NDArray[np.int64]
OPEN_FILES = 128
"""Files that a source of tokens keeps open: on a network disk, opening one takes as long as reading much of it."""
_SAFETENSORS_DTYPES = {
    name: np.dtype(kind) for name, kind in (("F32", "<f4"), ("F16", "<f2"), ("BF16", "<i2"), ("I8", "i1"), ("U8", "u1"))
}


def valid_grid(extent: IntArray, stride: int) -> IntArray:
    """Rows and columns (..., 2) of the cells that hold image, for extents (..., 2) in canvas pixels."""
    return -(-extent // stride)


def prefix_rows(info: FeatureInfo, version: int = FORMAT) -> int:
    """The number of tokens before the patches that are stored of a pass: CLS alone, or all in format 2."""
    return max(info.prefix, 1) if version == 2 else 1


def tensor_names(needs: Needs) -> Iterator[tuple[str, int]]:
    """The names of the stored tensors of resolved needs, in order, with their layers."""
    for layer in needs.layers:
        if needs.maps:
            yield f"maps.{layer}", layer
        if needs.cls:
            yield f"prefix.{layer}", layer


def rows_of(tokens: Tokens, name: str, layer: int, prefix: int = 1) -> Tensor:
    """The (N, C) rows of one stored tensor: cells that hold image, or the first ``prefix`` tokens, in item order."""
    if name.startswith("prefix"):
        return tokens.prefix[layer][:, :prefix].flatten(0, 1)
    cells = tokens.maps[layer].permute(0, 2, 3, 1)  # (B, h, w, C)
    mask = cell_mask(tokens.extent, tokens.info.strides[layer], (cells.shape[1], cells.shape[2]))[:, 0]
    return cells.flatten(0, 2) if bool(mask.all()) else cells[mask]


def rows_per_pass(info: FeatureInfo, name: str, layer: int, extent: IntArray, prefix: int = 1) -> IntArray:
    """The number of rows (N,) of N passes with ``extent`` (N, 2); zero for skipped images, whose extent is zero."""
    if name.startswith("prefix"):
        return (extent[:, 0] > 0) * prefix
    counts: IntArray = valid_grid(extent, info.strides[layer]).prod(axis=1)
    return counts


def first_rows(rows: IntArray, views: int, shard_images: int) -> IntArray:
    """(N,) first row of each image within its shard, given its ``rows`` per pass."""
    before = np.concatenate([[0], np.cumsum(rows * views)])
    start = np.arange(len(rows)) // shard_images * shard_images
    first: IntArray = before[:-1] - before[start]
    return first


def as_rows(x: Tensor) -> Rows:
    """The memory of a tensor on the CPU as numpy has it; bfloat16, which numpy lacks, as integers of 16 bits."""
    rows: Rows = (x.view(torch.int16) if x.dtype is torch.bfloat16 else x).numpy()
    return rows


class Buffer:
    """A (B, h, w, C) tensor that is filled image by image; cells without image become zero."""

    def __init__(self, shape: tuple[int, ...], dtype: torch.dtype) -> None:
        self.tensor = torch.empty(shape, dtype=dtype)
        self._slots = as_rows(self.tensor)
        self._filled = [(shape[1], shape[2])] * shape[0]

    def __len__(self) -> int:
        return len(self._filled)

    def take(self, index: int, grid: tuple[int, int]) -> Rows:
        """The top left ``grid`` (rows, columns) of a slot, to be written; the rest of the slot becomes zero."""
        slot, (rows, cols), (old_rows, old_cols) = self._slots[index], grid, self._filled[index]
        slot[rows:old_rows, :old_cols] = 0
        slot[:rows, cols:old_cols] = 0
        self._filled[index] = grid
        return slot[:rows, :cols]


class OpenFile:
    """A file that is open until nobody uses it any more."""

    def __init__(self, path: Path) -> None:
        self.descriptor = os.open(path, os.O_RDONLY)

    def __del__(self) -> None:
        if hasattr(self, "descriptor"):
            os.close(self.descriptor)


class Scratch:
    """What the shards of a source share: files that stay open, and a block of bytes per tensor name.

    A block is as large as the largest read so far, and every read overwrites it. At most ``OPEN_FILES`` are open: a
    large cache has more shards than a process may have files. Files that were used last stay open.
    """

    def __init__(self) -> None:
        self._blocks: dict[str, Rows] = {}
        self.file = lru_cache(OPEN_FILES)(OpenFile)

    def __reduce__(self) -> tuple[type[Scratch], tuple[()]]:
        return Scratch, ()  # another process has files and memory of its own

    def take(self, name: str, size: int) -> Rows:
        """The first ``size`` bytes of the name's block, uint8."""
        if name not in self._blocks or len(self._blocks[name]) < size:
            self._blocks[name] = np.empty(size, np.uint8)
        return self._blocks[name][:size]


class ShardFile(Protocol):
    """Rows of the named tensors of one shard."""

    def rows(self, name: str, first: int, count: int) -> Rows:
        """Rows ``first`` to ``first + count`` of a stored tensor, not to be changed or kept."""
        ...


class MappedShard:
    """Rows through a memory map, as views into the page cache."""

    def __init__(self, path: Path) -> None:
        with safe_open(path, "pt") as file:
            self._rows = {name: as_rows(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118

    def rows(self, name: str, first: int, count: int) -> Rows:
        """A view of the rows."""
        return self._rows[name][first : first + count]


class PositionalShard:
    """Rows read by offset, about twice as fast as a memory map once a cache no longer fits in memory.

    All shards of a cache share a ``scratch``; with one each, their memory and open files would add up.
    """

    def __init__(self, path: Path, scratch: Scratch) -> None:
        self._path, self._scratch = path, scratch
        length = int.from_bytes(self._read(0, 8), "little")
        self._header: dict[str, Any] = json.loads(self._read(8, length))
        self._data = 8 + length

    def rows(self, name: str, first: int, count: int) -> Rows:
        """A copy of the rows, which the next call for the same name, of any shard, overwrites."""
        entry, (begin, width) = self._header[name], self._place(name)
        buffer = self._scratch.take(name, count * width)
        self._fill(buffer, begin + first * width)
        return buffer.view(_SAFETENSORS_DTYPES[entry["dtype"]]).reshape(count, *entry["shape"][1:])

    def _place(self, name: str) -> tuple[int, int]:
        """Where a stored tensor begins in the file, and the bytes of each row."""
        entry = self._header[name]
        width = math.prod(entry["shape"][1:]) * _SAFETENSORS_DTYPES[entry["dtype"]].itemsize
        return self._data + entry["data_offsets"][0], width

    def _read(self, offset: int, size: int) -> bytes:
        buffer = np.empty(size, np.uint8)
        self._fill(buffer, offset)
        return buffer.tobytes()

    def _fill(self, buffer: Rows, offset: int) -> None:
        view, done, file = buffer.data, 0, self._scratch.file(self._path)
        while done < len(view):
            count = os.preadv(file.descriptor, [view[done:]], offset + done)
            if count == 0:
                raise ArgusError(f"{self._path}: ends too early; delete its .json and run the same caching again")
            done += count
