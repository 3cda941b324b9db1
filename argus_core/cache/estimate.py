"""The size of a cache before it is written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from argus_core.cache.codec import row_bytes
from argus_core.cache.shard import prefix_rows, rows_per_pass, tensor_names
from argus_core.cache.spec import FORMAT, CacheSpec
from argus_core.common.folders import free_bytes
from argus_core.data import Split
from argus_core.errors import ArgusError
from argus_core.tokens import FeatureInfo

_MARGIN = 1.15


def image_bytes(info: FeatureInfo, spec: CacheSpec, extents: Sequence[tuple[int, int]], version: int = FORMAT) -> float:
    """Mean bytes per image, with all views and layers, for images of these extents in canvas pixels."""
    extent = np.array(extents, np.int64)
    spec, prefix = spec.resolve(info), prefix_rows(info, version)
    rows = ((rows_per_pass(info, n, layer, extent, prefix), layer) for n, layer in tensor_names(spec.needs))
    per_pass = sum(float(r.mean()) * row_bytes(info.channels[layer], spec.dtype) for r, layer in rows)
    return per_pass * len(spec.views)


def estimate(split: Split, info: FeatureInfo, spec: CacheSpec, sample: int = 32) -> int:
    """Bytes that a cache of ``split`` will take, from the sizes of ``sample`` evenly spaced readable images.

    Without the records, a few hundred bytes per image; exact if ``sample`` covers the split.
    """
    extents = []
    for index in spread(len(split), sample):
        try:
            extents.append(spec.canvas.place(*split.image_size(index)).extent)
        except ArgusError:
            continue  # writing the cache decides about unreadable images
    return round(image_bytes(info, spec, extents or [spec.canvas.size]) * len(split))


def spread(count: int, sample: int) -> list[int]:
    """At most ``sample`` of ``count`` places, evenly spaced."""
    places: list[int] = np.unique(np.linspace(0, count - 1, min(sample, count)).round().astype(int)).tolist()
    return places


def check_space(path: Path, needed: int) -> None:
    """Raise ArgusError unless the disk of ``path`` has 1.15 times ``needed`` bytes free."""
    free = free_bytes(path)
    if free is not None and free < needed * _MARGIN:
        raise ArgusError(
            f"{path} has {free / 1e9:.2f} GB free; about {needed / 1e9:.2f} GB are needed, and a margin of 15%. "
            "Free space, or store less: fewer layers, views or crops, or another --dtype, see `arena cache --plan`"
        )
