"""The fixed views of all photographs on disk: their parameters, and their pixels at the sizes of a student."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from argus_arena.distill.augment import Image, View, render_view
from argus_arena.distill.fixed import FixedViews
from argus_arena.distributed import Distributed
from argus_core.cache import check_space
from argus_core.cache.shard import MappedShard
from argus_core.cache.spec import check_matches
from argus_core.common.files import create_exclusive, read_sealed, sealed
from argus_core.common.folders import claim
from argus_core.common.tensors import write_tensors
from argus_core.errors import ArgusError
from argus_core.tokens import Item

SHARD_BYTES = 64 << 20
FORMAT = 1


class StoredViews:
    """The views ``fixed`` in a folder: ``views.json`` says which, and files of ``shard`` photographs each hold them.

    A file has the parameters of its views as metadata, and pixels (N, size, size, 3) of each of ``sizes``.
    """

    def __init__(self, folder: Path, fixed: FixedViews, sizes: Sequence[int]) -> None:
        self.folder, self.fixed, self.sizes = folder, fixed, tuple(sorted(sizes))
        self.shard = max(SHARD_BYTES // self._image_bytes, 1)
        self._files: dict[int, tuple[MappedShard, list[View]]] = {}

    def __len__(self) -> int:
        return len(self.fixed.photographs) * self.fixed.count

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_files": {}}  # another process opens files of its own

    def write(self, process: Distributed, report: Callable[[int], None], threads: int = 4) -> None:
        """Write, together with other processes, what is missing; ``report`` is told how many views are there.

        Raises ArgusError if the folder holds other views.
        """
        claim(self.folder, lambda folder: self._record.is_file(), "stored views", "set another images.store")
        self.folder.mkdir(parents=True, exist_ok=True)
        create_exclusive(self._record, sealed(self._identity))
        check_matches(self.folder, read_sealed(self._record), self._identity, exact=True)
        missing = sum(len(self._images(number)) for number in self._shards if not self._path(number).is_file())
        check_space(self.folder, missing * self._image_bytes)
        with ThreadPoolExecutor(threads) as pool:
            for number in self._shards[process.rank :: process.size]:
                if not self._path(number).is_file():
                    rendered = list(pool.map(self._render, self._images(number)))
                    self._write_shard(number, [view for each in rendered for view in each])
                report(min((number + 1) * self.shard * self.fixed.count, len(self)))
        process.barrier()

    def view(self, row: int) -> View:
        """The parameters of a view; those of a photograph are ``fixed.count`` rows."""
        number, place = self._place(row)
        return self._file(number)[1][place]

    def row(self, item: Item) -> int:
        """The row of a photograph's view."""
        index, which = item
        return index * self.fixed.count + int(which)

    def pixels(self, row: int, size: int) -> Image:
        """RGB bytes (size, size, 3) of a view, not to be changed."""
        number, place = self._place(row)
        pixels: Image = self._file(number)[0].rows(f"pixels.{size}", place, 1)[0]
        return pixels

    def batch(self, rows: Sequence[int], size: int) -> Tensor:
        """RGB bytes (B, 3, size, size) of some views."""
        return torch.from_numpy(np.stack([self.pixels(row, size) for row in rows])).permute(0, 3, 1, 2)

    @property
    def _record(self) -> Path:
        return self.folder / "views.json"

    @cached_property
    def _identity(self) -> dict[str, Any]:
        return {"format": FORMAT, **self.fixed.identity, "sizes": list(self.sizes), "shard": self.shard}

    @property
    def _image_bytes(self) -> int:
        return self.fixed.count * sum(3 * size * size for size in self.sizes)

    @property
    def _shards(self) -> range:
        return range(-(-len(self.fixed.photographs) // self.shard))

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:05d}.safetensors"

    def _images(self, number: int) -> range:
        return range(len(self.fixed.photographs))[number * self.shard : (number + 1) * self.shard]

    def _file(self, number: int) -> tuple[MappedShard, list[View]]:
        """A file that was written, and the parameters of its views; raises ArgusError if it is damaged."""
        if number not in self._files:
            path = self._path(number)
            try:
                with safe_open(path, "pt") as file:
                    values = json.loads(file.metadata()["views"])
                views = [View(**{**each, "crop": tuple(each["crop"])}) for each in values]
                self._files[number] = MappedShard(path), views
            except (OSError, SafetensorError) as error:
                raise ArgusError(f"{path}: cannot be read ({error}); delete it and run the command again") from error
        return self._files[number]

    def _place(self, row: int) -> tuple[int, int]:
        return divmod(row, self.shard * self.fixed.count)

    def _render(self, index: int) -> list[tuple[View, dict[int, Tensor]]]:
        image = self.fixed.photographs.read(index)
        views = [self.fixed.draw(index, number, image) for number in range(self.fixed.count)]
        return [(view, {size: render_view(image, view, size) for size in self.sizes}) for view in views]

    def _write_shard(self, number: int, views: Sequence[tuple[View, dict[int, Tensor]]]) -> None:
        tensors = {
            f"pixels.{size}": torch.stack([pixels[size] for _, pixels in views]).permute(0, 2, 3, 1)
            for size in self.sizes
        }
        write_tensors(self._path(number), tensors, {"views": json.dumps([asdict(view) for view, _ in views])})
