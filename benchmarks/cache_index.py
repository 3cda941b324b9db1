"""Opening a cache of 100 million images by its index, and one that is small enough for sidecars both ways.

``python cache_index.py [IMAGES]``. The shards of a small real cache stand in for those that are read; the rest of the
large index is a hole in a sparse file. Each figure is of a fresh process, its peak memory above that of the imports.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from argus_core.backbones import load_backbone
from argus_core.cache import Cache, CacheSource, CacheSpec, write_cache
from argus_core.cache.columns import header, kinds_of, map_columns
from argus_core.cache.estimate import image_bytes
from argus_core.cache.index import FIXED, TEXTS, read_index_head
from argus_core.cache.manifest import Manifest
from argus_core.cache.seal import seal
from argus_core.cache.sidecar import read_sidecar, shard_path, sidecar_path
from argus_core.canvas import Canvas
from argus_core.common.files import sealed, write_sealed
from argus_data.scenes.split import open_scenes

BORNE, READ = 100_000, 8
"""Images of the cache that has sidecars; shards of the large cache that are read, an image of each in a batch."""


def small_cache(folder: Path) -> Path:
    """A real cache of two shards of 200 images, which is what 64 MB hold of a ViT-B at 320 px."""
    split, backbone, spec = (
        open_scenes(images=400, val=1, size=64)["train"],
        load_backbone("tiny"),
        CacheSpec(Canvas(64)),
    )
    of_shard = round(image_bytes(backbone.info, spec, [(64, 64)]) * 200)
    write_cache(folder / "small", backbone, split, spec, shard_bytes=of_shard)
    return folder / "small"


def begun(small: Path, path: Path, images: int) -> Manifest:
    """A cache for so many images, without shards."""
    (path / "shards").mkdir(parents=True)
    manifest = Manifest.read(small)
    fields = {**asdict(manifest), "fingerprint": {**manifest.fingerprint, "images": images}}
    os.link(small / "norm.safetensors", path / "norm.safetensors")
    return Manifest(**fields).begin(path)


def with_sidecars(small: Path, path: Path) -> Path:
    """A sealed cache whose shards are all the first one of the small cache."""
    manifest = begun(small, path, BORNE)
    record = asdict(read_sidecar(small, 0, Manifest.read(small)))
    content = sealed({"cache": manifest.id, **record})
    for number in range(len(manifest.shards)):
        sidecar_path(path, number).write_bytes(content)
        os.link(shard_path(small, 0), shard_path(path, number))
    seal(path)
    return path


def sparse(small: Path, path: Path, images: int) -> Path:
    """A sealed cache of which only the shards of ``places`` are there."""
    manifest = begun(small, path, images)
    rows = {**dict.fromkeys(("sizes", "extents", *(f"{text}.ends" for text in TEXTS[:3])), images), "skipped": 0}
    rows |= {name: len(manifest.shards) for name in FIXED if name.startswith("shard.")} | {"reasons.ends": 0}
    rows |= {"keys": 24 * images, "stamps": 30 * images, "sha256": 32 * images, "reasons": 0}
    kinds = kinds_of(FIXED, TEXTS)
    sizes = {name: rows[name] * np.dtype(code).itemsize * int(np.prod(shape)) for name, (code, shape) in kinds.items()}
    file = path / "index.safetensors"
    with file.open("wb") as stream:
        begin = stream.write(header(kinds, sizes))
        stream.truncate(begin + sum(sizes.values()))
    fill(small, path, manifest, begin)
    record = {"devices": read_index_head(small)["devices"], "bytes": file.stat().st_size, "sha256": ""}
    write_sealed(path / "index.json", {"cache": manifest.id, "id": manifest.id, **record})
    return path


def fill(small: Path, path: Path, manifest: Manifest, begin: int) -> None:
    """Write the records of the shards that are read, and the lengths of all."""
    source, raw = map_columns(small / "index.safetensors"), np.memmap(path / "index.safetensors", np.uint8, "r+")
    entries = json.loads(raw[8:begin].tobytes())

    def column(name: str) -> Any:
        first, last = entries[name]["data_offsets"]
        return raw[begin + first : begin + last].view(source[name].dtype).reshape(-1, *source[name].shape[1:])

    column("shard.bytes")[:] = source["shard.bytes"][0]
    step = manifest.shards.step
    for number in places(len(manifest.shards)):
        images = slice(number * step, (number + 1) * step)
        for name in ("sizes", "extents"):
            column(name)[images] = source[name][:step]
        for name, width in zip(TEXTS[:3], (24, 30, 32), strict=True):
            column(f"{name}.ends")[images.start - (number > 0) : images.stop] = width * np.arange(
                images.start + (number == 0), images.stop + 1
            )
            column(name)[width * images.start : width * images.stop] = ord("x")
        os.link(shard_path(small, 0), shard_path(path, number))


def places(shards: int) -> list[int]:
    """The shards that are read."""
    return random.Random(3).sample(range(shards), READ)


def measured(path: Path, by_index: bool, queue: multiprocessing.Queue) -> None:  # type: ignore[type-arg]
    """Milliseconds of opening, of a record and of the first batch, and the peak in MiB."""
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # the peak counts from here
    before = memory("VmRSS")
    if not by_index:
        (path / "index.json").unlink()
    times = []

    def timed(work: Callable[[], Any]) -> Any:
        began = time.perf_counter()
        result = work()
        times.append((time.perf_counter() - began) * 1e3)
        return result

    cache: Cache = timed(lambda: Cache.open(path))
    step, shards = cache.manifest.shards.step, places(len(cache.manifest.shards))
    timed(lambda: cache.images[shards[-1] * step + 7])
    source: CacheSource = timed(lambda: CacheSource(cache))
    timed(lambda: source.read([(number * step, "id") for number in shards]))
    queue.put((*times, memory("VmHWM") - before))


def memory(field: str) -> float:
    """A field of this process's status, in MiB."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.split(f"{field}:")[1].split()[0]) / 1024


def show(what: str, path: Path, by_index: bool = True) -> None:
    """Print the figures of a fresh process: the medians of five."""
    context, found = multiprocessing.get_context("spawn"), []
    for _ in range(5 if by_index else 1):
        queue = context.Queue()
        process = context.Process(target=measured, args=(path, by_index, queue))
        process.start()
        found.append(queue.get())
        process.join()
    opened, record, source, batch, peak = np.median(found, axis=0)
    print(
        f"{what}: open {opened:.2f} ms, a random record {record:.3f} ms, a source {source:.1f} ms, "
        f"its first batch {batch:.1f} ms, peak memory {peak:.1f} MiB"
    )


def main(images: int) -> None:
    """Both caches."""
    with tempfile.TemporaryDirectory() as folder:
        small = small_cache(Path(folder))
        large, borne = sparse(small, Path(folder) / "large", images), with_sidecars(small, Path(folder) / "borne")
        show(f"{images:,} images, index", large)
        show(f"{BORNE:,} images, index", borne)
        show(f"{BORNE:,} images, sidecars", borne, by_index=False)


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 100_000_000)
