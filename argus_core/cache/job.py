"""The loop that turns images into shards: threads read ahead, a thread writes, the backbone runs in between."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from argus_core.backbones.base import Backbone, Rendered, encode_rendered
from argus_core.cache.basis import Bases
from argus_core.cache.codec import codec_of
from argus_core.cache.manifest import Manifest
from argus_core.cache.schedule import Meter, Schedule
from argus_core.cache.shard import rows_of, rows_per_pass, tensor_names
from argus_core.cache.sidecar import ImageRecord, attempt, commit
from argus_core.cache.spec import CacheSpec
from argus_core.data import Split
from argus_core.data.split import guarded
from argus_core.errors import ArgusError
from argus_core.tokens import Tokens


@dataclass(frozen=True)
class RenderedImage:
    """One image's record and its canvas of each view; no canvas if it was skipped."""

    record: ImageRecord
    views: list[Rendered]


def render_image(split: Split, spec: CacheSpec, skip_bad: bool, index: int) -> RenderedImage:
    """Read and render one image; an unreadable one raises its ArgusError, or is skipped."""
    # Hashed before the pixels are read: a file that is replaced in between is then found to differ.
    key, stamp, sha256 = split.key(index), attempt(split.stamp, index), attempt(split.digest, index)
    try:
        with guarded(split):
            image = split.read(index)
    except ArgusError as error:
        if not skip_bad:
            raise
        return RenderedImage(ImageRecord(key, stamp, sha256, skipped=str(error)), [])
    views = [spec.canvas.render(image, mirrored=view == "hflip") for view in spec.views]
    placement = views[0][1]
    return RenderedImage(ImageRecord(key, stamp, sha256, placement.image_size, placement.extent), views)


@dataclass(frozen=True)
class Batch:
    """The images of one pass, of the same shard."""

    shard: int
    images: list[RenderedImage]


def read_ahead(
    read: Callable[[int], RenderedImage], batches: Iterable[tuple[int, Sequence[int]]], threads: int
) -> Generator[Batch, None, None]:
    """The images of each batch, of which shard and indices are given, in order, while threads read the next batch."""
    with ThreadPoolExecutor(threads) as pool:
        current: tuple[int, list[Future[RenderedImage]]] | None = None
        for shard, batch in batches:
            coming = shard, [pool.submit(read, index) for index in batch]
            if current:
                yield Batch(current[0], [future.result() for future in current[1]])
            current = coming
        if current:
            yield Batch(current[0], [future.result() for future in current[1]])


@dataclass(frozen=True)
class Job:
    """One run of the backbone over the images of some shards of a cache; ``device`` says on what it computes.

    ``bases`` are those that tokens are stored in, if there are any.
    """

    path: Path
    backbone: Backbone
    manifest: Manifest
    spec: CacheSpec
    device: str
    bases: Bases = field(default_factory=dict)

    def run(self, schedule: Schedule, read: Callable[[int], RenderedImage], threads: int, meter: Meter) -> None:
        """Write the available shards. The batch of a pass, and its place in it, depend on the index alone."""
        pending: Future[None] | None = None
        batches = ((number, batch) for number in schedule.available() for batch in self._batches(number))
        with closing(read_ahead(read, batches, threads)) as rendered, ThreadPoolExecutor(1) as disk:
            for number, of_shard in groupby(rendered, key=lambda batch: batch.shard):
                images, rows = self._encode(of_shard, meter)
                if pending is not None:
                    pending.result()
                pending = disk.submit(self._write, number, images, rows, schedule)
            if pending is not None:
                pending.result()

    def _batches(self, number: int) -> list[range]:
        images, size = self.manifest.shards[number], self.manifest.layout["batch"]
        return [images[first : first + size] for first in range(0, len(images), size)]

    def _encode(self, batches: Iterator[Batch], meter: Meter) -> tuple[list[ImageRecord], dict[str, list[Tensor]]]:
        images: list[ImageRecord] = []
        rows: dict[str, list[Tensor]] = defaultdict(list)
        for batch in batches:
            images += [image.record for image in batch.images]
            if views := [view for image in batch.images for view in image.views]:
                keys = [image.record.key for image in batch.images for _ in image.views]
                placed = encode_rendered(self.backbone, views, self.spec.needs, self.spec.canvas.tiles)
                self._store(placed.tokens, keys, rows)
            meter.add(len(batch.images))
        return images, rows

    def _store(self, tokens: Tokens, keys: Sequence[str], rows: dict[str, list[Tensor]]) -> None:
        count = self.manifest.prefix_rows
        for name, layer in tensor_names(self.spec.needs):
            raw = rows_of(tokens, name, layer, count)  # (N, C)
            numbers = self.bases[name].project(raw) if self.bases else raw
            stored = codec_of(self.spec.dtype).encode(numbers)
            finite = [torch.isfinite(part).view(len(raw), -1).all(dim=1) for part in stored.values()]
            if not (fits := torch.stack(finite).all(dim=0)).all():
                row = int(fits.int().argmin())
                extent = tokens.extent.cpu().numpy()
                ends = rows_per_pass(tokens.info, name, layer, extent, count).cumsum()
                raise self._misfit(keys[int(ends.searchsorted(row, side="right"))], layer, raw[row])
            for prefix, part in stored.items():
                rows[prefix + name].append(part.cpu())

    def _misfit(self, key: str, layer: int, row: Tensor) -> ArgusError:
        if not torch.isfinite(row).all():
            return ArgusError(f"the backbone gives NaN or infinity for image {key!r} at layer {layer}")
        return ArgusError(
            f"image {key!r}, layer {layer}: a value of {row.abs().max():.4g} does not fit {self.spec.dtype}; "
            "cache as bf16 or fp32"
        )

    def _write(self, number: int, images: list[ImageRecord], rows: dict[str, list[Tensor]], schedule: Schedule) -> None:
        tensors = {name: torch.cat(rows.pop(name)) for name in list(rows)}
        commit(self.path, number, partial(save_file, tensors), images, self.device, self.manifest)
        schedule.written(number)
