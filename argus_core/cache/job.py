"""The loop that turns images into shards: threads read ahead, a thread writes behind, the backbone in between."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import save_file
from torch import Tensor

from argus_core.cache import layout
from argus_core.cache import layout as codec
from argus_core.cache.manifest import ImageRecord, Manifest, Shard, attempt, shard_path, write_shard_record
from argus_core.cache.spec import CacheSpec
from argus_core.common.files import file_sha256, write_atomic
from argus_core.data import Split
from argus_core.errors import ArgusError
from argus_core.tokens import Tokens

if TYPE_CHECKING:
    from argus_core.backbones import Backbone


@dataclass(frozen=True)
class Passes:
    """One image's record and its canvases, one (H, W, 3) per view; none if it was skipped."""

    record: ImageRecord
    canvases: list[npt.NDArray[np.uint8]]


def load(split: Split, spec: CacheSpec, skip_bad: bool, index: int) -> Passes:
    """Read and render one image; an unreadable one raises its ArgusError, or is skipped."""
    # Taken before the pixels: a file replaced in between is then found to differ.
    key, stamp, sha256 = split.key(index), attempt(split.stamp, index), attempt(split.digest, index)
    try:
        image = split.read(index)
    except ArgusError as error:
        if not skip_bad:
            raise
        return Passes(ImageRecord(key, stamp, sha256, skipped=str(error)), [])
    rendered = [spec.canvas.render(image, mirrored=view == "hflip") for view in spec.views]
    size = (image.shape[0], image.shape[1])
    record = ImageRecord(key, stamp, sha256, size, rendered[0][1].extent)
    return Passes(record, [canvas for canvas, _ in rendered])


def load_ahead(
    read: Callable[[int], Passes], batches: Iterable[Sequence[int]], threads: int
) -> Generator[list[Passes], None, None]:
    """The passes of each batch, in order, while threads read the next one."""
    with ThreadPoolExecutor(threads) as pool:
        waiting: list[Future[Passes]] | None = None
        for batch in batches:
            coming = [pool.submit(read, index) for index in batch]
            if waiting is not None:
                yield [future.result() for future in waiting]
            waiting = coming
        if waiting is not None:
            yield [future.result() for future in waiting]


def stack(batch: Sequence[Passes], views: int) -> tuple[Tensor, Tensor, list[str]]:
    """The backbone's input: (B, H, W, 3) canvases, (B, 2) extents and the key of each, image by image."""
    canvases = [canvas for passes in batch for canvas in passes.canvases]
    records = [passes.record for passes in batch if passes.canvases for _ in range(views)]
    extent = torch.tensor([record.extent for record in records])
    return torch.from_numpy(np.stack(canvases)), extent, [record.key for record in records]


Report = Callable[[int, int, float, float], None]
"""Told of progress: images done, images in all, images per second of this run, seconds left."""


@dataclass
class Meter:
    """Counts images and reports progress; ``done`` starts at what an earlier run finished."""

    done: int
    total: int
    report: Report
    fresh: int = 0
    start: float = field(default_factory=time.monotonic)

    def add(self, images: int) -> None:
        """Count ``images`` more."""
        self.done, self.fresh = self.done + images, self.fresh + images
        rate = self.fresh / max(time.monotonic() - self.start, 1e-9)
        self.report(self.done, self.total, rate, (self.total - self.done) / rate)


@dataclass(frozen=True)
class Job:
    """One run of the backbone over the images of some shards of a cache."""

    path: Path
    backbone: Backbone
    manifest: Manifest
    spec: CacheSpec

    def run(self, todo: Sequence[int], load: Callable[[int], Passes], threads: int, meter: Meter) -> None:
        """Write the shards ``todo``; every pass and its place in a batch depend on its index alone."""
        pending: Future[None] | None = None
        batches = (batch for number in todo for batch in self._batches(number))
        with closing(load_ahead(load, batches, threads)) as loaded, ThreadPoolExecutor(1) as disk:
            for number in todo:
                images, rows = self._encode(number, loaded, meter)
                if pending is not None:
                    pending.result()
                pending = disk.submit(self._write, number, images, rows)
            if pending is not None:
                pending.result()

    def _batches(self, number: int) -> list[range]:
        images, size = self.manifest.shards[number], self.manifest.layout["batch"]
        return [images[first : first + size] for first in range(0, len(images), size)]

    def _encode(
        self, number: int, loaded: Iterator[list[Passes]], meter: Meter
    ) -> tuple[list[ImageRecord], dict[str, list[Tensor]]]:
        images: list[ImageRecord] = []
        rows: dict[str, list[Tensor]] = defaultdict(list)
        for _ in self._batches(number):
            batch = next(loaded)
            images += [passes.record for passes in batch]
            if any(passes.canvases for passes in batch):
                canvases, extent, keys = stack(batch, len(self.spec.views))
                self._store(self.backbone.encode(canvases, extent, self.spec.needs), keys, rows)
            meter.add(len(batch))
        return images, rows

    def _store(self, tokens: Tokens, keys: Sequence[str], rows: dict[str, list[Tensor]]) -> None:
        prefix = self.manifest.prefix_rows
        for name, layer in layout.names(self.spec.needs):
            raw = layout.rows_of(tokens, name, layer, prefix)  # (N, C)
            stored, scale = codec.encode(raw, self.spec.dtype)
            finite = torch.isfinite(stored if scale is None else scale)
            if not finite.all():
                row = int(finite.view(len(raw), -1).all(dim=1).int().argmin())
                extent = tokens.extent.cpu().numpy()
                ends = layout.rows_per_pass(tokens.info, name, layer, extent, prefix).cumsum()
                raise self._unfit(keys[int(ends.searchsorted(row, side="right"))], layer, raw[row])
            rows[name].append(stored.cpu())
            if scale is not None:
                rows[f"scale.{name}"].append(scale.cpu())

    def _unfit(self, key: str, layer: int, row: Tensor) -> ArgusError:
        if not torch.isfinite(row).all():
            return ArgusError(f"the backbone gives NaN or infinity for image {key!r} at layer {layer}")
        return ArgusError(
            f"image {key!r}, layer {layer}: a value of {row.abs().max():.4g} does not fit {self.spec.dtype}; "
            "cache as bf16 or fp32"
        )

    def _write(self, number: int, images: list[ImageRecord], rows: dict[str, list[Tensor]]) -> None:
        file = shard_path(self.path, number)
        tensors = {name: torch.cat(rows.pop(name)) for name in list(rows)}
        write_atomic(file, lambda temporary: save_file(tensors, temporary))
        write_shard_record(self.path, number, Shard(file_sha256(file), file.stat().st_size, images), self.manifest)
