"""How large a cache will be, and whether the disk holds it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from argus_core.cache import codec, layout
from argus_core.cache.spec import FORMAT, CacheSpec
from argus_core.data import Split
from argus_core.errors import ArgusError
from argus_core.tokens import FeatureInfo

_MARGIN = 1.15


def image_bytes(info: FeatureInfo, spec: CacheSpec, extents: Sequence[tuple[int, int]], version: int = FORMAT) -> float:
    """Mean bytes that an image takes, with all views and layers, over images of these extents (canvas pixels)."""
    extent = np.array(extents, np.int64)
    spec, prefix = spec.resolve(info), layout.prefix_rows(info, version)
    rows = ((layout.rows_per_pass(info, n, layer, extent, prefix), layer) for n, layer in layout.names(spec.needs))
    per_pass = sum(float(r.mean()) * codec.row_bytes(info.channels[layer], spec.dtype) for r, layer in rows)
    return per_pass * len(spec.views)


def estimate(split: Split, info: FeatureInfo, spec: CacheSpec, sample: int = 32) -> int:
    """Bytes a cache of ``split`` will take, from the sizes of ``sample`` evenly spaced readable images.

    Exact, but for a few hundred bytes of records per image, where ``sample`` covers the split.
    """
    extents = []
    for index in np.unique(np.linspace(0, len(split) - 1, min(sample, len(split))).round().astype(int)).tolist():
        try:
            height, width, _ = split.read(index).shape
        except ArgusError:
            continue  # the run itself says what becomes of unreadable images
        extents.append(spec.canvas.place(height, width).extent)
    return round(image_bytes(info, spec, extents or [spec.canvas.size]) * len(split))


def check_space(path: Path, needed: int) -> None:
    """Raise ArgusError unless the disk of ``path`` has 1.15 times ``needed`` bytes free."""
    free = shutil.disk_usage(path).free
    if free < needed * _MARGIN:
        raise ArgusError(
            f"{path} has {free / 1e9:.2f} GB free; the cache needs about {needed / 1e9:.2f} GB and a margin of 15%. "
            "Free space, cache fewer layers or views, or store int8"
        )
