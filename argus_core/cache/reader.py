"""Tokens from a cache, equal to those of the backbone."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import get_worker_info

from argus_core.cache.manifest import Cache, shard_path
from argus_core.cache.shard import (
    Buffer,
    MappedShard,
    PositionalShard,
    Scratch,
    ShardFile,
    decode_rows,
    first_rows,
    read_dtype,
    rows_per_pass,
    tensor_names,
    valid_grid,
)
from argus_core.canvas import Placement
from argus_core.errors import ArgusError, unknown
from argus_core.tokens import Item, Needs, PlacedTokens, Tokens


class CacheSource:
    """The token source of a complete cache; it can be pickled, for data-loader workers.

    With ``reuse`` all batches share the memory of that many, which is about twice as fast: a batch is overwritten by
    the ``reuse``-th ``read`` after it, and must not be written into. Data-loader workers ignore it, because their
    queue holds several batches. A shallow copy reads the same files into memory of its own. ``positional`` reads by
    offset instead of through a memory map; by default if the cache exceeds 0.8 of the physical memory. Only ``needs``
    are read, by default everything.
    """

    def __init__(
        self, cache: Cache, *, reuse: int = 0, positional: bool | None = None, needs: Needs | None = None
    ) -> None:
        spec = cache.manifest.spec
        self.path, self.fingerprint = cache.path, cache.id
        self.skipped: Mapping[int, str] = cache.skipped
        self.info, self.canvas, self.views = cache.info(), spec.canvas, spec.views
        self.norm = cache.norm()
        self.reuse = reuse
        self.positional = _exceeds_memory(cache) if positional is None else positional
        if needs is not None:
            cache.require(needs)
            spec = replace(spec, needs=needs).resolve(self.info)
        self.maps = spec.needs.maps
        self._dtype, self._names = spec.dtype, list(tensor_names(spec.needs))
        self._prefix_rows = prefix = cache.manifest.prefix_rows
        self._shard_images = cache.manifest.layout["shard_images"]
        self._sizes = np.array([image.size for image in cache.images], np.int64).reshape(-1, 2)
        self._extent = np.array([image.extent for image in cache.images], np.int64).reshape(-1, 2)
        self._rows = {n: rows_per_pass(self.info, n, layer, self._extent, prefix) for n, layer in self._names}
        self._first = {n: first_rows(rows, len(self.views), self._shard_images) for n, rows in self._rows.items()}
        self._files: dict[int, ShardFile] = {}
        self._buffers: dict[tuple[int, str], Buffer] = {}
        self._reads = 0
        self._scratch = Scratch()

    def __len__(self) -> int:
        return len(self._sizes)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_files": {}, "_buffers": {}, "_scratch": Scratch()}

    def passes(self, index: int) -> list[Item]:
        """One pass over the image as it is."""
        return [(index, "id")]

    def placement(self, item: Item) -> Placement:
        """Where the item's image lies on the canvas; raises ArgusError if the image was skipped."""
        self._check(item)
        height, width = self._sizes[item[0]].tolist()
        placement = self.canvas.place(height, width)
        return placement.mirror() if item[1] == "hflip" else placement

    def read(self, items: Sequence[Item]) -> PlacedTokens:
        """The items' tokens in the stored format (int8 as float32), padding cells zero, and their placements."""
        placements = [self.placement(item) for item in items]
        self._reads += 1
        tensors = {name: self._batch(name, layer, items) for name, layer in self._names}
        tokens = Tokens(
            {layer: tensors[n].permute(0, 3, 1, 2) for n, layer in self._names if n.startswith("maps")},
            {layer: tensors[n][:, 0] for n, layer in self._names if n.startswith("prefix")},
            torch.from_numpy(self._extent[[index for index, _ in items]]),
            self.canvas.size,
            self.info,
            self.norm,
        )
        return PlacedTokens(tokens, placements)

    def order(self, generator: torch.Generator, window: int = 8) -> list[int]:
        """A shuffle of the usable images within groups of ``window`` shards, so that disks read sequentially."""
        shards = torch.randperm(-(-len(self) // self._shard_images), generator=generator)
        order: list[int] = []
        for group in shards.split(window):
            images = (group[:, None] * self._shard_images + torch.arange(self._shard_images)).flatten()
            order += images[torch.randperm(len(images), generator=generator)].tolist()
        return [index for index in order if index < len(self) and index not in self.skipped]

    def _check(self, item: Item) -> None:
        index, view = item
        if not 0 <= index < len(self):
            raise IndexError(f"image {index} of {len(self)}")
        if view not in self.views:
            raise unknown("cached view", view, self.views)
        if index in self.skipped:
            raise ArgusError(f"image {index} was skipped when cached ({self.skipped[index]}); leave it out")

    def _batch(self, name: str, layer: int, items: Sequence[Item]) -> Tensor:
        """(B, h, w, C) maps, or (B, 1, P, C) prefix tokens."""
        prefix, stride = name.startswith("prefix"), self.info.strides[layer]
        grid = (1, self._prefix_rows) if prefix else self.info.grid(self.canvas.size, layer)
        buffer = self._buffer(name, (len(items), *grid, self.info.channels[layer]))
        for slot, (index, view) in enumerate(items):
            rows, cols = grid if prefix else valid_grid(self._extent[index], stride).tolist()
            self._copy(buffer.take(slot, (rows, cols)), name, index, self.views.index(view))
        return buffer.tensor[: len(items)]

    def _copy(self, out: Tensor, name: str, index: int, view: int) -> None:
        file, count = self._file(index // self._shard_images), int(self._rows[name][index])
        first = int(self._first[name][index]) + view * count
        scale = file.rows(f"scale.{name}", first, count).view(out.shape[:2]) if self._dtype == "int8" else None
        decode_rows(out, file.rows(name, first, count).view(out.shape), scale)

    def _file(self, number: int) -> ShardFile:
        if number not in self._files:
            path = shard_path(self.path, number)
            self._files[number] = PositionalShard(path, self._scratch) if self.positional else MappedShard(path)
        return self._files[number]

    def _buffer(self, name: str, shape: tuple[int, ...]) -> Buffer:
        if not self.reuse or get_worker_info() is not None:
            return Buffer(shape, read_dtype(self._dtype))
        key = (self._reads % self.reuse, name)
        if key not in self._buffers or len(self._buffers[key]) < shape[0]:
            self._buffers[key] = Buffer(shape, read_dtype(self._dtype))
        return self._buffers[key]


def _exceeds_memory(cache: Cache) -> bool:
    return cache.bytes > 0.8 * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
