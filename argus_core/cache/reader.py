"""Tokens from a cache, equal to those of the backbone."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from torch import Tensor
from torch.utils.data import get_worker_info

from argus_core.cache.codec import Rows, codec_of
from argus_core.cache.opened import Cache
from argus_core.cache.remote import RemoteShard, fetch
from argus_core.cache.shard import (
    Buffer,
    IntArray,
    MappedShard,
    PositionalShard,
    Scratch,
    ShardFile,
    first_rows,
    rows_per_pass,
    tensor_names,
    valid_grid,
)
from argus_core.cache.sidecar import shard_path
from argus_core.canvas import Placement
from argus_core.common.places import Address
from argus_core.common.ranges import Range
from argus_core.errors import ArgusError, unknown
from argus_core.tokens import Item, Needs, PlacedTokens, Tokens

PLACES_KEPT = 1024
"""Shards of which it is known where each image's rows lie."""
ShardPlaces = dict[str, list[tuple[int, int]]]
"""By the name of a stored tensor: first row, and rows per pass, of each image of a shard."""


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
        self._codec, self._names = codec_of(spec.dtype), list(tensor_names(spec.needs))
        bases = cache.bases()
        self._matrices = {name: bases[name].matrix() for name, _ in self._names if bases}
        self._dtype = torch.float32 if bases else self._codec.dtype
        self._prefix_rows = cache.manifest.prefix_rows
        self._shard_images = cache.manifest.layout["shard_images"]
        self._index = cache.images
        self._places: OrderedDict[int, ShardPlaces] = OrderedDict()
        self._files: dict[int, ShardFile] = {}
        self._buffers: dict[tuple[int, str], Buffer] = {}
        self._coefficients: dict[str, Buffer] = {}
        self._blocks: dict[Range, bytes] = {}
        self._reads = 0
        self._scratch = Scratch()

    def __len__(self) -> int:
        return len(self._index)

    def __getstate__(self) -> dict[str, Any]:
        return {
            **self.__dict__,
            "_places": OrderedDict(),
            "_files": {},
            "_buffers": {},
            "_coefficients": {},
            "_blocks": {},
            "_scratch": Scratch(),
        }

    def passes(self, index: int) -> list[Item]:
        """One pass over the image as it is."""
        return [(index, "id")]

    def placement(self, item: Item) -> Placement:
        """Where the item's image lies on the canvas; raises ArgusError if the image was skipped."""
        self._check(item)
        height, width = self._index.sizes[item[0]].tolist()
        placement = self.canvas.place(height, width)
        return placement.mirror() if item[1] == "hflip" else placement

    def read(self, items: Sequence[Item]) -> PlacedTokens:
        """The items' tokens, padding cells zero, and their placements.

        Tokens have the type they are stored in, or float32 where that is no floating-point number of each channel.
        """
        placements = [self.placement(item) for item in items]
        self._reads += 1
        if isinstance(self.path, Address):
            fetch(self._blocks, self._blocks_of(items))
        tensors = {name: self._batch(name, layer, items) for name, layer in self._names}
        tokens = Tokens(
            {layer: tensors[n].permute(0, 3, 1, 2) for n, layer in self._names if n.startswith("maps")},
            {layer: tensors[n][:, 0] for n, layer in self._names if n.startswith("prefix")},
            torch.from_numpy(self._index.extents[[index for index, _ in items]].astype(np.int64)),
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
        shape = (len(items), *grid, self.info.channels[layer])
        matrix = self._matrices.get(name)
        buffer = self._buffer(name, shape) if matrix is None else self._coefficient_buffer(name, shape, len(matrix))
        extents = self._index.extents[[index for index, _ in items]]
        grids = [grid] * len(items) if prefix else valid_grid(extents, stride).tolist()
        for slot, ((index, view), (rows, cols)) in enumerate(zip(items, grids, strict=True)):
            out = buffer.take(slot, (rows, cols))
            if matrix is not None:
                out[..., -1], out = 1, out[..., :-1]  # the mean's coefficient, which stays 0 in padding
            self._copy(out, name, index, self.views.index(view))
        tensor = buffer.tensor[: len(items)]
        return tensor if matrix is None else self._decoded(name, tensor, matrix, shape)

    def _decoded(self, name: str, coefficients: Tensor, matrix: Tensor, shape: tuple[int, ...]) -> Tensor:
        """(B, h, w, C) tokens of (B, h, w, K + 1) coefficients, by one product."""
        out = self._buffer(name, shape).tensor[: shape[0]]
        torch.mm(coefficients.flatten(0, 2), matrix, out=out.view(-1, shape[-1]))
        return out

    def _coefficient_buffer(self, name: str, shape: tuple[int, ...], width: int) -> Buffer:
        """Memory that every batch uses."""
        buffer = self._coefficients.get(name)
        if buffer is None or len(buffer) < shape[0]:
            buffer = self._coefficients[name] = Buffer((*shape[:-1], width), torch.float32)
        return buffer

    def _copy(self, out: Rows, name: str, index: int, view: int) -> None:
        number, place = divmod(index, self._shard_images)
        file, (begin, count) = self._file(number), self._shard_places(number)[name][place]
        first = begin + view * count

        def part(prefix: str) -> Rows:
            rows = file.rows(prefix + name, first, count)
            return rows.reshape(*out.shape[:2], *rows.shape[1:])

        self._codec.decode(out, part)

    def _shard_places(self, number: int) -> ShardPlaces:
        """Computed when a shard is read, and kept for the last ones: a cache may have more images than memory holds."""
        if number not in self._places:
            first = number * self._shard_images
            extent = self._index.extents[first : first + self._shard_images].astype(np.int64)
            self._places[number] = {name: self._places_of(name, layer, extent) for name, layer in self._names}
            if len(self._places) > PLACES_KEPT:
                self._places.popitem(last=False)
        return self._places[number]

    def _places_of(self, name: str, layer: int, extent: IntArray) -> list[tuple[int, int]]:
        rows = rows_per_pass(self.info, name, layer, extent, self._prefix_rows)
        first = first_rows(rows, len(self.views), self._shard_images)
        return list(zip(first.tolist(), rows.tolist(), strict=True))

    def _file(self, number: int) -> ShardFile:
        if number not in self._files:
            path = shard_path(self.path, number)
            try:
                self._files[number] = self._open(number, path)
            except (OSError, SafetensorError, ValueError) as error:
                remedy = "delete its .json and run the same caching again"
                raise ArgusError(f"{path}: cannot be read ({error}); {remedy}") from error
        return self._files[number]

    def _open(self, number: int, path: Path) -> ShardFile:
        if isinstance(path, Address):
            sha256, size = self._index.shard_sha256(number), int(self._index.shard_bytes[number])
            return RemoteShard(path, sha256, size, self._scratch, self._blocks)
        return PositionalShard(path, self._scratch) if self.positional else MappedShard(path)

    def _blocks_of(self, items: Sequence[Item]) -> Iterator[Range]:
        """The parts of shards in a store that a batch needs."""
        for index, view in items:
            number, place = divmod(index, self._shard_images)
            file = self._file(number)
            assert isinstance(file, RemoteShard)
            for name, places in self._shard_places(number).items():
                first, count = places[place]
                for prefix in self._codec.parts:
                    yield from file.blocks_of(prefix + name, first + self.views.index(view) * count, count)

    def _buffer(self, name: str, shape: tuple[int, ...]) -> Buffer:
        if not self.reuse or get_worker_info() is not None:
            return Buffer(shape, self._dtype)
        key = (self._reads % self.reuse, name)
        if key not in self._buffers or len(self._buffers[key]) < shape[0]:
            self._buffers[key] = Buffer(shape, self._dtype)
        return self._buffers[key]


def _exceeds_memory(cache: Cache) -> bool:
    return cache.bytes > 0.8 * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
