"""What caches of each number format would take and save, computed from what was measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from argus_arena.tools.cache_rates import DiskRates, DtypeSeconds, PassSeconds
from argus_core.cache import CacheSpec, estimate
from argus_core.cache.fit import SAMPLE_IMAGES
from argus_core.cache.shard import tensor_names
from argus_core.common.dtypes import parse_dtype
from argus_core.data import Split
from argus_core.tokens import FeatureInfo

SIZES = 1000
"""Images of a split whose sizes are looked at: bytes are exact for as many, and estimated for more."""
COMPONENTS = 64
MARGIN = 1.15
"""How many times the bytes of a cache must be free."""


@dataclass(frozen=True)
class Forecast:
    """What a cache of one number format takes: bytes, seconds to write, seconds to read each training image once.

    ``break_even`` is the number of epochs from which caching and reading takes less time than computing live; None if
    there is none.
    """

    dtype: str
    bytes: int
    bytes_per_image: float
    fits_disk: bool
    fits_memory: bool
    cache_seconds: float
    epoch_seconds: float
    break_even: int | None


@dataclass(frozen=True)
class Work:
    """The splits that would be cached, the one that is trained on first, and what of each."""

    splits: Sequence[Split]
    specs: Sequence[CacheSpec]
    info: FeatureInfo

    @property
    def images(self) -> int:
        """Of all splits."""
        return sum(map(len, self.splits))

    @property
    def passes(self) -> int:
        """Over all images of all splits."""
        return sum(len(split) * len(spec.views) for split, spec in zip(self.splits, self.specs, strict=True))

    @property
    def dtypes(self) -> list[str]:
        """The number formats to compare: the one that was asked for, and one of each kind."""
        asked, layers = self.specs[0].dtype, self.specs[0].resolve(self.info).needs.layers
        widest = max(self.info.channels[layer] for layer in layers)
        names = ["fp16", "int8", "int4", f"pca-{min(COMPONENTS, max(widest // 2, 1))}-int8"]
        return names if asked in names else [asked, *names]

    def bytes(self, dtype: str) -> int:
        """Of all stored tokens, and of components; without the records of images, a few hundred bytes each."""
        pairs = zip(self.splits, self.specs, strict=True)
        tokens = (estimate(split, self.info, replace(spec, dtype=dtype), SIZES) for split, spec in pairs)
        return sum(tokens) + len(self.splits) * self._basis_bytes(dtype)

    def _basis_bytes(self, dtype: str) -> int:
        kind = parse_dtype(dtype)
        if kind.components is None:
            return 0
        names = tensor_names(self.specs[0].needs.resolve(self.info))
        widths = [self.info.channels[layer] for _, layer in names]
        return sum((kind.width(width) + 1) * width * 4 for width in widths)


@dataclass(frozen=True)
class Machine:
    """What was measured, and how many bytes are ``free`` on the disk and can be held in ``memory``."""

    disk: DiskRates
    passes: PassSeconds
    free: int
    memory: int

    def forecast(self, work: Work, dtype: str, own: DtypeSeconds) -> Forecast:
        """What a cache of this number format would take."""
        size, train = work.bytes(dtype), len(work.splits[0])
        compute = work.passes * (self.passes.cached + own.encode)
        if parse_dtype(dtype).components is not None:
            compute += min(SAMPLE_IMAGES, train) * (self.passes.cached + own.fit) + own.solve
        cache = max(compute, size / self.disk.write)  # a thread writes while the backbone runs
        from_disk = 0.0 if size <= self.memory else size / work.passes / self.disk.read
        epoch, live = train * (own.read + from_disk), train * self.passes.live
        return Forecast(
            dtype,
            size,
            size / work.images,
            size * MARGIN <= self.free,
            size <= self.memory,
            cache,
            epoch,
            math.ceil(cache / (live - epoch)) if live > epoch else None,
        )


def recommend(forecasts: Sequence[Forecast]) -> tuple[str | None, str]:
    """The number format to use, None for no cache, and why: the first that fits into memory, else onto the disk."""
    paying = [each for each in forecasts if each.break_even is not None and each.fits_disk]
    in_memory = [each for each in paying if each.fits_memory]
    if paying:
        chosen = (in_memory or paying)[0]
        where = "into memory" if in_memory else "onto the disk; none fits into memory"
        return chosen.dtype, f"the first of these that fits {where}; it pays from epoch {chosen.break_even} on"
    if not any(each.fits_disk for each in forecasts):
        return None, "none of these fits onto the disk: store fewer layers or views, or smaller canvases, or free space"
    return None, "reading is no faster here than computing: train with --backbone in place of --cache"
