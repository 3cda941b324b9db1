"""Shuffled reads of fp16 tokens at 640 px against numpy.memmap copying the same bytes into a reused buffer.

Both copy on one core, as threads do that read beside heads.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch

from argus_core.cache import Cache, CacheSource, CacheSpec, write_cache
from argus_core.canvas import Canvas
from argus_core.common.license import APACHE
from argus_core.tokens import FeatureInfo, Needs, Tokens
from argus_data.scenes.split import open_scenes
from timing import compare, show

IMAGES, BATCH, SIDE, CHANNELS = 128, 16, 640, 768


class RandomTokens:
    """Stands in for a backbone, because only reading bytes from disk is measured."""

    name, mean, std, precision, norm, weights_sha256 = "random", (0.0,) * 3, (1.0,) * 3, "fp32", None, "0" * 64
    license, info, device = APACHE.id, FeatureInfo.vit(CHANNELS, prefix=1), torch.device("cpu")

    def encode(self, canvases: torch.Tensor, extent: torch.Tensor, needs: Needs, tiles: None = None) -> Tokens:
        """Noise of the right shape."""
        grid = SIDE // 16
        noise = torch.rand(len(canvases), grid, grid, CHANNELS).permute(0, 3, 1, 2)
        return Tokens({11: noise}, {}, extent, (SIDE, SIDE), self.info)


def main() -> None:
    """Print the ratio of throughputs."""
    with tempfile.TemporaryDirectory() as folder:
        split = open_scenes(images=IMAGES, val=1, size=64)["train"]
        write_cache(Path(folder) / "cache", RandomTokens(), split, CacheSpec(Canvas(SIDE)))  # type: ignore[arg-type]
        source = CacheSource(Cache.open(Path(folder) / "cache"), reuse=True)
        grid = SIDE // 16
        shape = (IMAGES, grid, grid, CHANNELS)
        flat = np.memmap(Path(folder) / "flat.bin", np.float16, "w+", shape=shape)
        for index in range(IMAGES):
            flat[index] = source.read([(index, "id")]).tokens.maps[11][0].permute(1, 2, 0).numpy()
        flat.flush()
        buffer = np.empty((BATCH, *shape[1:]), np.float16)
        order = np.random.default_rng(0).permutation(IMAGES)

        def ours() -> None:
            for start in range(0, IMAGES, BATCH):
                source.read([(int(i), "id") for i in order[start : start + BATCH]])

        def peer() -> None:
            for start in range(0, IMAGES, BATCH):
                for slot, index in enumerate(order[start : start + BATCH]):
                    buffer[slot] = flat[index]

        mine, other, ratio = compare(ours, peer)
        size = IMAGES * grid * grid * CHANNELS * 2 / 1e6
        print(f"{size / mine:.0f} MB/s against {size / other:.0f} MB/s")
        show("shuffled cache read", mine, other, ratio, "<= 1.25, that is >= 0.8 of memmap's rate")


if __name__ == "__main__":
    main()
