"""Writing a cache against the bare backbone forward over the same canvases; and peak memory for few and many images."""

from __future__ import annotations

import multiprocessing
import resource
import tempfile
from pathlib import Path

import torch

from argus_core.backbones import load_backbone
from argus_core.cache import CacheSpec, write_cache
from argus_core.canvas import Canvas
from argus_core.tokens import Needs
from argus_data.scenes import open_scenes
from timing import compare, show

BATCH, SIDE = 8, 320


def cache_scenes(images: int, size: int, backbone: str) -> None:
    """Cache that many scenes, rendered at ``size`` and placed on the benchmark's canvas."""
    split = open_scenes(images=images, val=1, size=size)["train"]
    with tempfile.TemporaryDirectory() as folder:
        write_cache(Path(folder) / "cache", load_backbone(backbone), split, CacheSpec(Canvas(SIDE)), batch=BATCH)


def overhead(images: int = 64) -> None:
    """Time of caching over time of forwards alone."""
    # The default architecture at full width, with random weights: speed does not depend on them.
    backbone = load_backbone("timm:vit_small_patch16_dinov3_qkvb", pretrained=False)
    split = open_scenes(images=images, val=1, size=64)["train"]
    canvases = torch.zeros(BATCH, SIDE, SIDE, 3, dtype=torch.uint8)
    extent = torch.full((BATCH, 2), SIDE)

    def ours() -> None:
        with tempfile.TemporaryDirectory() as folder:
            write_cache(Path(folder) / "cache", backbone, split, CacheSpec(Canvas(SIDE)), batch=BATCH)

    def bare() -> None:
        for _ in range(0, images, BATCH):
            backbone.encode(canvases, extent, Needs())

    show("caching against bare forward", *compare(ours, bare, rounds=3), "<= 1.10")


def _peak(images: int, queue: multiprocessing.Queue) -> None:  # type: ignore[type-arg]
    cache_scenes(images, 64, "tiny")
    queue.put(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def memory() -> None:
    """Peak memory of two fresh processes."""
    context = multiprocessing.get_context("spawn")
    peaks = []
    for images in (64, 1024):
        queue = context.Queue()
        process = context.Process(target=_peak, args=(images, queue))
        process.start()
        peaks.append(queue.get())
        process.join()
    print(f"peak memory: {peaks[0]:.0f} MiB for 64 images, {peaks[1]:.0f} MiB for 1024 (goal: no growth)")


if __name__ == "__main__":
    overhead()
    memory()
