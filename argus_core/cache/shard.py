"""One shard file: which rows belong to which pass, their number format, and reading them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from safetensors import safe_open
from torch import Tensor

from argus_core.cache.spec import FORMAT, DType
from argus_core.errors import ArgusError
from argus_core.tokens import FeatureInfo, Needs, Tokens, cell_mask

IntArray = npt.NDArray[np.int64]
_DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16, "int8": torch.int8}
_SAFETENSORS_DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I8": torch.int8}


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


def encode_rows(rows: Tensor, dtype: DType) -> tuple[Tensor, Tensor | None]:
    """(N, C) float32 rows as they are stored; int8 also gives (N,) scales, so that ``rows = stored * scale``.

    A value that is not finite, or not in fp16, makes its stored row or scale not finite.
    """
    if dtype != "int8":
        return rows.to(_DTYPES[dtype]), None
    scale = rows.abs().amax(dim=1) / 127  # (N,)
    safe = torch.where(scale > 0, scale, 1.0)
    return (rows / safe[:, None]).round().nan_to_num().clamp(-127, 127).to(torch.int8), scale


def decode_rows(out: Tensor, stored: Tensor, scale: Tensor | None) -> None:
    """Write (..., C) stored rows, times their (...) scales, into ``out`` of the same shape."""
    # By numpy, because torch takes all cores, also from a thread beside heads that have them all.
    if scale is None:
        np.copyto(_bytes(out), _bytes(stored))
    else:
        np.multiply(stored.numpy(), scale[..., None].numpy(), out=out.numpy())


def _bytes(x: Tensor) -> npt.NDArray[np.uint8]:
    """The memory of (..., C), of which numpy need not know the format."""
    return x.view(torch.uint8).numpy()


def read_dtype(dtype: DType) -> torch.dtype:
    """The dtype of tokens that are read: as stored, but float32 for int8."""
    return torch.float32 if dtype == "int8" else _DTYPES[dtype]


def row_bytes(channels: int, dtype: DType) -> int:
    """Bytes that one token takes on disk."""
    return channels * _DTYPES[dtype].itemsize + (torch.float32.itemsize if dtype == "int8" else 0)


class Buffer:
    """A (B, h, w, C) tensor that is filled image by image; cells without image become zero."""

    def __init__(self, shape: tuple[int, ...], dtype: torch.dtype) -> None:
        self.tensor = torch.empty(shape, dtype=dtype)
        self._dirty = [(shape[1], shape[2])] * shape[0]

    def __len__(self) -> int:
        return len(self._dirty)

    def take(self, index: int, grid: tuple[int, int]) -> Tensor:
        """The top left ``grid`` (rows, columns) of a slot, to be written; the rest of the slot becomes zero."""
        slot, (rows, cols), (old_rows, old_cols) = self.tensor[index], grid, self._dirty[index]
        _bytes(slot[rows:old_rows, :old_cols])[...] = 0
        _bytes(slot[:rows, cols:old_cols])[...] = 0
        self._dirty[index] = grid
        return slot[:rows, :cols]


class Scratch:
    """A block of bytes per tensor name, as large as the largest read so far, which every read overwrites."""

    def __init__(self) -> None:
        self._blocks: dict[str, Tensor] = {}

    def take(self, name: str, size: int) -> Tensor:
        """The first ``size`` bytes of the name's block, uint8."""
        if name not in self._blocks or len(self._blocks[name]) < size:
            self._blocks[name] = torch.empty(size, dtype=torch.uint8)
        return self._blocks[name][:size]


class ShardFile(Protocol):
    """Rows of the named tensors of one shard."""

    def rows(self, name: str, first: int, count: int) -> Tensor:
        """Rows ``first`` to ``first + count`` of a stored tensor, not to be changed or kept."""
        ...


class MappedShard:
    """Rows through a memory map, as views into the page cache."""

    def __init__(self, path: Path) -> None:
        with safe_open(path, "pt") as file:
            self._tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118

    def rows(self, name: str, first: int, count: int) -> Tensor:
        """A view of the rows."""
        return self._tensors[name][first : first + count]


class PositionalShard:
    """Rows read by offset, about twice as fast as a memory map once a cache no longer fits in memory.

    All shards of a cache share a ``scratch``; with one each, their memory would add up.
    """

    def __init__(self, path: Path, scratch: Scratch) -> None:
        self._path, self._scratch = path, scratch
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            self._header: dict[str, Any] = json.loads(file.read(length))
        self._data = 8 + length

    def rows(self, name: str, first: int, count: int) -> Tensor:
        """A copy of the rows, which the next call for the same name, of any shard, overwrites."""
        entry = self._header[name]
        shape, dtype = entry["shape"], _SAFETENSORS_DTYPES[entry["dtype"]]
        width = torch.Size(shape[1:]).numel() * dtype.itemsize
        buffer = self._scratch.take(name, count * width)
        self._fill(buffer, self._data + entry["data_offsets"][0] + first * width)
        return buffer.view(dtype).view(count, *shape[1:])

    def _fill(self, buffer: Tensor, offset: int) -> None:
        view, done = buffer.numpy().data, 0
        # Opened each time: a large cache has more shards than a process may have open files.
        descriptor = os.open(self._path, os.O_RDONLY)
        try:
            while done < len(view):
                count = os.preadv(descriptor, [view[done:]], offset + done)
                if count == 0:
                    raise ArgusError(f"{self._path}: ends too early; delete its .json and run the same caching again")
                done += count
        finally:
            os.close(descriptor)
