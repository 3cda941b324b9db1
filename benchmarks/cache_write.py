"""Writing a cache against the bare backbone forward over the same canvases; and peak memory for few and many images."""

from __future__ import annotations

import multiprocessing
import tempfile
from pathlib import Path

import torch

from argus_core.backbones import load_backbone
from argus_core.cache import CacheSpec, write_cache
from argus_core.canvas import Canvas
from argus_core.tokens import Needs
from argus_data.scenes.split import open_scenes
from timing import compare, random_backbone, show

BATCH, SIDE = 4, 320


def overhead(images: int = 32) -> None:
    """Time of caching over time of forwards alone."""
    backbone = random_backbone("vit_base_patch16_dinov3_qkvb")
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
    split = open_scenes(images=images, val=1, size=64)["train"]
    spec = CacheSpec(Canvas(SIDE), Needs(layers=tuple(range(12))), dtype="fp32")  # 36 images fill a shard
    with tempfile.TemporaryDirectory() as folder:
        write_cache(Path(folder) / "cache", load_backbone("tiny"), split, spec, batch=BATCH)
    # Not getrusage: its peak outlives exec, so a child starts with its parent's.
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    queue.put(int(status.split("VmHWM:")[1].split()[0]) / 1024)


def memory() -> None:
    """Peak memory of two fresh processes."""
    context = multiprocessing.get_context("spawn")
    peaks = []
    for images in (128, 768):
        queue = context.Queue()
        process = context.Process(target=_peak, args=(images, queue))
        process.start()
        peaks.append(queue.get())
        process.join()
    print(f"peak memory: {peaks[0]:.0f} MiB for 128 images, {peaks[1]:.0f} MiB for 768 (goal: no growth)")


if __name__ == "__main__":
    memory()
    overhead()
