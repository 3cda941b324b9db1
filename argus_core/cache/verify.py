"""The size of a cache before it is written, its integrity, and its contents."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from argus_core.cache.manifest import Manifest, is_done, read_shard_record, shard_path
from argus_core.cache.shard import prefix_rows, row_bytes, rows_per_pass, tensor_names
from argus_core.cache.spec import FORMAT, CacheSpec
from argus_core.common.files import file_sha256
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
    for index in np.unique(np.linspace(0, len(split) - 1, min(sample, len(split))).round().astype(int)).tolist():
        try:
            extents.append(spec.canvas.place(*split.image_size(index)).extent)
        except ArgusError:
            continue  # writing the cache decides about unreadable images
    return round(image_bytes(info, spec, extents or [spec.canvas.size]) * len(split))


def check_space(path: Path, needed: int) -> None:
    """Raise ArgusError unless the disk of ``path`` has 1.15 times ``needed`` bytes free."""
    free = shutil.disk_usage(path).free
    if free < needed * _MARGIN:
        raise ArgusError(
            f"{path} has {free / 1e9:.2f} GB free; the cache needs about {needed / 1e9:.2f} GB and a margin of 15%. "
            "Free space, cache fewer layers or views, or store int8"
        )


def verify(path: str | Path) -> list[str]:
    """Everything wrong with the cache at ``path``, one line per file; finds any changed byte.

    A damaged manifest is reported alone, because the rest cannot be checked without it.
    """
    path = Path(path)
    try:
        manifest = Manifest.read(path)
    except ArgusError as error:
        return [str(error)]
    norm = path / "norm.safetensors"
    faults = [] if manifest.norm is None else list(_differs(norm, manifest.norm["sha256"]))
    for number in range(len(manifest.shards)):
        try:
            shard = read_shard_record(path, number, manifest)
            faults += _differs(shard_path(path, number), shard.sha256)
        except ArgusError as error:
            faults.append(str(error))
    return faults


def info(path: str | Path) -> dict[str, Any]:
    """Contents and licence of the cache at ``path``, which may be unfinished, as plain JSON values."""
    path = Path(path)
    manifest = Manifest.read(path)
    done = [number for number in range(len(manifest.shards)) if is_done(path, number)]
    shards = [read_shard_record(path, number, manifest) for number in done]
    images = [image for shard in shards for image in shard.images]
    return {
        **manifest.fingerprint,
        **manifest.layout,
        "license": manifest.license,
        "made_with": manifest.made_with,
        "shards": len(manifest.shards),
        "shards_done": len(done),
        "images_done": len(images),
        "bytes": sum(shard.bytes for shard in shards),
        "skipped": {image.key: image.skipped for image in images if image.skipped},
    }


def _differs(file: Path, sha256: str) -> Iterator[str]:
    if not file.exists():
        yield f"{file}: missing"
    elif file_sha256(file) != sha256:
        yield (
            f"{file}: damaged, its sha256 is not the recorded one; "
            "delete it, and a shard's .json, and run the same caching again"
        )
