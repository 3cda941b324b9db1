"""Rows of one shard file, through a memory map or positional reads."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import safe_open
from torch import Tensor

from argus_core.errors import ArgusError


class Buffer:
    """A (B, h, w, C) tensor filled image by image; cells without image are zero once a slot was taken."""

    def __init__(self, shape: tuple[int, ...], dtype: torch.dtype) -> None:
        self.tensor = torch.empty(shape, dtype=dtype)
        self._dirty = [(shape[1], shape[2])] * shape[0]

    def __len__(self) -> int:
        return len(self._dirty)

    def take(self, index: int, grid: tuple[int, int]) -> Tensor:
        """The top left ``grid`` (rows, columns) of a slot, to be written; zeroes what was left around it."""
        slot, (rows, cols), (old_rows, old_cols) = self.tensor[index], grid, self._dirty[index]
        slot[rows:old_rows, :old_cols].zero_()
        slot[:rows, cols:old_cols].zero_()
        self._dirty[index] = grid
        return slot[:rows, :cols]


class Scratch:
    """A block of bytes per tensor name, as large as the largest read so far; every use overwrites the one before."""

    def __init__(self) -> None:
        self._blocks: dict[str, Tensor] = {}

    def take(self, name: str, size: int) -> Tensor:
        """The first ``size`` bytes of the name's block, uint8."""
        held = self._blocks.get(name)
        if held is None or len(held) < size:
            held = self._blocks[name] = torch.empty(size, dtype=torch.uint8)
        return held[:size]


_TORCH = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I8": torch.int8}


class ShardFile(Protocol):
    """Rows of the named tensors of one shard."""

    def rows(self, name: str, first: int, count: int) -> Tensor:
        """Rows ``first`` to ``first + count`` of a stored tensor; not to be written to or kept."""
        ...


class MappedShard:
    """Rows are views into the page cache; it holds no file descriptor."""

    def __init__(self, path: Path) -> None:
        with safe_open(path, "pt") as file:
            self._tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118

    def rows(self, name: str, first: int, count: int) -> Tensor:
        """A view of the map."""
        return self._tensors[name][first : first + count]


class PositionalShard:
    """Rows are read by offset, about twice as fast as a map once a cache no longer fits in memory.

    ``scratch`` is shared by all shards of a cache: one of their own each would grow to a row per shard and tensor.
    """

    def __init__(self, path: Path, scratch: Scratch) -> None:
        self._path, self._scratch = path, scratch
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            self._header: dict[str, Any] = json.loads(file.read(length))
        self._data = 8 + length

    def rows(self, name: str, first: int, count: int) -> Tensor:
        """A copy that the next call for the same name, of any shard, overwrites."""
        entry = self._header[name]
        shape, dtype = entry["shape"], _TORCH[entry["dtype"]]
        width = torch.Size(shape[1:]).numel() * dtype.itemsize
        buffer = self._scratch.take(name, count * width)
        self._fill(buffer, self._data + entry["data_offsets"][0] + first * width)
        return buffer.view(dtype).view(count, *shape[1:])

    def _fill(self, buffer: Tensor, offset: int) -> None:
        view, done = buffer.numpy().data, 0
        # Opened anew each time: a large cache has more shards than a process may have open files.
        descriptor = os.open(self._path, os.O_RDONLY)
        try:
            while done < len(view):
                got = os.preadv(descriptor, [view[done:]], offset + done)
                if got == 0:
                    raise ArgusError(f"{self._path}: ends too early; delete its .json and run the same caching again")
                done += got
        finally:
            os.close(descriptor)
