"""Memory of shuffled reads from a cache of many shards, against the bytes of one batch and one image."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np

from argus_core.cache import Cache, CacheSource, CacheSpec, write_cache
from argus_core.canvas import Canvas
from argus_data.scenes.split import open_scenes
from cache_read import BATCH, CHANNELS, SIDE, RandomTokens

PASS = (SIDE // 16) ** 2 * CHANNELS * 2
"""Bytes of one image's tokens."""


def main(shards: int) -> None:
    """Print the growth of the process while it reads every image of every shard twice."""
    with tempfile.TemporaryDirectory() as folder:
        split = open_scenes(images=shards, val=1, size=64)["train"]
        write_cache(Path(folder), RandomTokens(), split, CacheSpec(Canvas(SIDE)), batch=1, shard_bytes=1)  # type: ignore[arg-type]
        source = CacheSource(Cache.open(Path(folder)), reuse=True, positional=True)
        before, limit = anonymous_memory(), BATCH * PASS + PASS
        for seed in range(2):
            order = np.random.default_rng(seed).permutation(shards)
            for start in range(0, shards, BATCH):
                source.read([(int(index), "id") for index in order[start : start + BATCH]])
        growth = anonymous_memory() - before
        print(
            f"{shards} shards: {growth / 2**20:.1f} MiB against {limit / 2**20:.1f} MiB, "
            f"ratio {growth / limit:.3f} (goal <= 1.10)"
        )


def anonymous_memory() -> int:
    """Bytes of this process that are not pages of files."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 256)
