"""What a backbone and a disk do here, in seconds, from a few passes over images of the data and a small file."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from argus_core.cache import Cache, CacheSource, CacheSpec, write_cache
from argus_core.cache.basis import Basis
from argus_core.cache.codec import codec_of
from argus_core.cache.estimate import spread
from argus_core.cache.fit import SAMPLE_ROWS, Moments
from argus_core.cache.shard import rows_of, tensor_names
from argus_core.common.dtypes import parse_dtype
from argus_core.common.files import write_named
from argus_core.data import Split
from argus_core.data.hold_out import Part
from argus_core.tokens import PlacedTokens

if TYPE_CHECKING:
    from argus_core.backbones import Backbone

FILE_BYTES = 64 << 20
"""As large as a shard."""
SECONDS = 15.0
"""How long passes of one kind are timed, within ``BATCHES``."""
BATCHES = (2, 12)
READ_SECONDS = 0.5


@dataclass(frozen=True)
class DiskRates:
    """Bytes a second of a file of ``size`` bytes: written as shards are, and read with or without the disk's help."""

    size: int
    write: float
    read: float
    from_memory: bool


@dataclass(frozen=True)
class PassSeconds:
    """Seconds of an image's pass: as training on live tokens makes it, and as caching does; of so many ``images``."""

    live: float
    cached: float
    images: int


@dataclass(frozen=True)
class DtypeSeconds:
    """Seconds that a number format adds: to encode a pass, to read one that is in memory, and to fit components.

    ``fit`` is for each image of the sample besides its pass, ``solve`` once.
    """

    encode: float
    read: float
    fit: float = 0.0
    solve: float = 0.0


def measure_disk(folder: Path, size: int = FILE_BYTES) -> DiskRates:
    """Write a file below ``folder`` as a shard is written, with its checksum and flushed, read it, and remove it."""
    content = np.random.default_rng(0).integers(0, 256, size, np.uint8).tobytes()
    file = folder / "shard"
    began = time.perf_counter()
    write_named(file, lambda sha256: file, lambda to: to.write_bytes(content))
    wrote = time.perf_counter() - began
    descriptor = os.open(file, os.O_RDONLY)
    try:
        from_memory = not _dropped(descriptor, size)
        began = time.perf_counter()
        for offset in range(0, size, 1 << 20):
            os.pread(descriptor, 1 << 20, offset)
        return DiskRates(size, size / wrote, size / (time.perf_counter() - began), from_memory)
    finally:
        os.close(descriptor)
        file.unlink()


def _dropped(descriptor: int, size: int) -> bool:
    """Ask the system to forget what it holds of a file in memory; returns whether it has, or cannot be asked."""
    if not hasattr(os, "posix_fadvise"):
        return False
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    try:
        return os.preadv(descriptor, [bytearray(1)], size // 2, os.RWF_NOWAIT) == 0  # only what is in memory
    except BlockingIOError:
        return True
    except (OSError, AttributeError):
        return False


def measure_passes(backbone: Backbone, split: Split, spec: CacheSpec, batch: int, folder: Path) -> PassSeconds:
    """Time passes over images of ``split``, which are decoded for it: live, and into a cache below ``folder``."""
    from argus_core.backbones.live import LiveSource

    source, view = LiveSource(backbone, split, spec.canvas, spec.needs, spec.views), spec.views[0]

    def read(number: int) -> None:
        first = number * batch
        _wait(source.read([(index % len(split), view) for index in range(first, first + batch)]), spec)

    read(0)  # the first pass costs more
    fewest, most = BATCHES
    live = _timed(read, SECONDS, fewest, most)
    images = min(max(fewest + 1, min(most, round(SECONDS / live))) * batch, len(split))
    cached = _caching(backbone, Part(split.name, split, range(images)), spec, batch, folder)
    return PassSeconds(live / batch, cached / len(spec.views), images)


def _caching(backbone: Backbone, split: Split, spec: CacheSpec, batch: int, folder: Path) -> float:
    """Seconds of an image, all views, in the loop that writes caches: from the first batch on, which costs more."""
    moments: list[tuple[int, float]] = []
    began = time.perf_counter()

    def report(done: int, total: int, rate: float, left: float) -> None:
        moments.append((done, time.perf_counter()))

    write_cache(folder / "passes", backbone, split, replace(spec, dtype="fp32"), batch=batch, report=report)
    if len(moments) < 3:
        return (moments[-1][1] - began) / moments[-1][0]
    (first, start), (last, end) = moments[0], moments[-1]
    return (end - start) / (last - first)


def measure_dtype(backbone: Backbone, split: Split, spec: CacheSpec, batch: int, folder: Path) -> DtypeSeconds:
    """Time what the number format of ``spec`` adds, on a cache of a batch of images below ``folder``."""
    from argus_core.backbones.live import LiveSource

    images = min(batch, len(split))
    some, path = Part(split.name, split, range(images)), folder / spec.dtype
    write_cache(path, backbone, some, spec, batch=batch)
    items = [(index, spec.views[0]) for index in range(images)]
    source = CacheSource(Cache.open(path), reuse=2)
    _wait(source.read(items), spec)  # the first read opens files
    read = _timed(lambda number: _wait(source.read(items), spec), READ_SECONDS, 3, 1000)
    placed = LiveSource(backbone, some, spec.canvas, spec.needs, spec.views).read(items)
    bases = {name: basis.to(backbone.device) for name, basis in Cache.open(path).bases().items()}
    encode = _timed(lambda number: _encode(placed, spec, bases), READ_SECONDS, 2, 1000)
    fit, solve = _fit(placed, spec) if bases else (0.0, 0.0)
    return DtypeSeconds(encode / images, read / images, fit / images, solve)


def _encode(placed: PlacedTokens, spec: CacheSpec, bases: dict[str, Basis]) -> None:
    codec, tokens = codec_of(spec.dtype), placed.tokens
    for name, layer in tensor_names(spec.needs.resolve(tokens.info)):
        rows = rows_of(tokens, name, layer)
        for part in codec.encode(bases[name].project(rows) if bases else rows).values():
            part.cpu()


def _fit(placed: PlacedTokens, spec: CacheSpec) -> tuple[float, float]:
    """Seconds to gather the moments of some images, and to solve for the components."""
    gather = solve = 0.0
    tokens = placed.tokens
    for name, layer in tensor_names(spec.needs.resolve(tokens.info)):
        rows = rows_of(tokens, name, layer)
        moments = Moments(rows.shape[1])
        began = time.perf_counter()
        moments.add(rows[spread(len(rows), SAMPLE_ROWS * len(tokens))])
        between = time.perf_counter()
        count = parse_dtype(spec.dtype).width(rows.shape[1])
        Basis.of(count, moments.total, moments.products, moments.rows)
        gather, solve = gather + between - began, solve + time.perf_counter() - between
    return gather, solve


def _wait(placed: PlacedTokens, spec: CacheSpec) -> None:
    """What heads read of some tokens, computed to the end: a GPU answers before it has."""
    features = placed.tokens.features(spec.needs)
    features.extent.cpu()


def _timed(run: Callable[[int], None], seconds: float, fewest: int, most: int) -> float:
    """The median of the seconds of several runs, numbered from 1, as many as fit into so many seconds."""
    times: list[float] = []
    while len(times) < fewest or (sum(times) < seconds and len(times) < most):
        began = time.perf_counter()
        run(len(times) + 1)
        times.append(time.perf_counter() - began)
    return float(np.median(times))
