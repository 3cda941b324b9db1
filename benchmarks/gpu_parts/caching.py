"""Caches written on the device: their tokens beside those of the CPU, a resumed one beside a whole one, and speed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from argus_core.backbones import Backbone
from argus_core.backbones.base import Precision
from argus_core.backbones.tiny import tiny
from argus_core.cache import Cache, CacheSource, CacheSpec, write_cache
from argus_core.canvas import Canvas
from argus_core.image.read import read_image
from argus_core.tokens import Needs
from argus_data.scenes.split import SceneSplit
from gpu_parts.bench import Bench, close, relative

EXACT, ROUNDED = 1e-3, 0.1
"""How far tokens in float32, and of the device's own precision, may be from the CPU's, relative to the largest."""
IMAGES, BATCH = 24, 4
SHARD_BYTES = 1 << 13
"""So small that the cache has several shards."""


class Photographs(SceneSplit):
    """Scenes that are read from a few JPEG files, as photographs are."""

    def __init__(self, folder: Path, images: int, size: tuple[int, int], files: int = 16) -> None:
        super().__init__("train", images, size, seed=0)
        self.files = [folder / f"{number}.jpg" for number in range(min(files, images))]
        for number, file in enumerate(self.files):
            Image.fromarray(super().read(number)).save(file, quality=92)

    def read(self, index: int) -> npt.NDArray[np.uint8]:
        """One of the files, decoded."""
        return read_image(self.files[index % len(self.files)])


class Stopped(Exception):
    """Raised in the middle of caching."""


def run(bench: Bench) -> None:
    """Checks with the narrow backbone, whose weights are fixed, then the speed of a wide one."""
    with tempfile.TemporaryDirectory() as folder:
        split = SceneSplit("train", IMAGES, (64, 96), seed=0)
        check_tokens(bench, split, Path(folder))
        check_resumed(bench, split, Path(folder))
        measure(bench, Path(folder))


def check_tokens(bench: Bench, split: SceneSplit, folder: Path) -> None:
    """What the cache holds, read back."""
    near = stored(folder / "cpu", tiny(precision="fp32"), split)
    limits: dict[Precision, float] = {"fp32": EXACT, "auto": ROUNDED}
    for precision, limit in limits.items():
        backbone = tiny(precision=precision).to(bench.device)
        with bench.check(f"tokens in {backbone.precision} ({precision}) as on the CPU") as values:
            far = stored(folder / precision, backbone, split)
            values["difference"] = difference = relative(far, near)
            close(difference, limit, "a token")


def stored(path: Path, backbone: Backbone, split: SceneSplit) -> Tensor:
    """The last map of all images, from a cache."""
    write_cache(path, backbone, split, CacheSpec(Canvas(64), dtype="fp32"), batch=BATCH)
    tokens, _ = CacheSource(Cache.open(path)).read([(index, "id") for index in range(len(split))])
    return next(iter(tokens.maps.values()))


def check_resumed(bench: Bench, split: SceneSplit, folder: Path) -> None:
    """A cache that is stopped half-way and then finished."""

    def stop(done: int, *_: float) -> None:
        if done > IMAGES // 2:
            raise Stopped

    backbone = tiny().to(bench.device)
    write = partial(write_cache, backbone=backbone, split=split, spec=CacheSpec(Canvas(64)), batch=BATCH)
    with bench.check("a resumed cache has the bytes of a whole one") as values:
        write(folder / "whole", shard_bytes=SHARD_BYTES)
        with suppress(Stopped):
            write(folder / "resumed", shard_bytes=SHARD_BYTES, report=stop)
        before = dict(shards(folder / "resumed"))
        write(folder / "resumed", shard_bytes=SHARD_BYTES)
        whole, resumed = dict(shards(folder / "whole")), dict(shards(folder / "resumed"))
        values["shards"], values["shards before"] = len(whole), len(before)
        assert 0 < len(before) < len(whole), "it was not stopped between two shards"
        assert whole == resumed, "the bytes differ"


def shards(cache: Path) -> Iterator[tuple[str, bytes]]:
    """Names and bytes of a cache's tokens."""
    for file in sorted((cache / "shards").glob("[!.]*.safetensors")):
        yield file.name, file.read_bytes()


def measure(bench: Bench, folder: Path) -> None:
    """Caching of photographs from files, and the backbone alone."""
    side, images, batches = (64, 8, (2,)) if bench.toy else (640, 128, (8, 32))
    split, backbone = Photographs(folder, images, (side * 3 // 4, side)), bench.backbone()
    for batch in batches:
        canvases = torch.randint(0, 255, (batch, side, side, 3), dtype=torch.uint8)
        encode = partial(backbone.encode, canvases, torch.full((batch, 2), side), Needs())
        write = partial(write_once, folder, backbone, split, CacheSpec(Canvas(side)), batch)
        size = f"{side} px, batch {batch}"
        bare = bench.time(f"bare backbone, {size}", encode, batch) / batch
        whole = bench.time(f"caching, {size}", write, images) / images
        bench.figure(f"caching of the bare backbone, {size}", ratio=whole / bare)


def write_once(folder: Path, backbone: Backbone, split: SceneSplit, spec: CacheSpec, batch: int) -> None:
    """Write a cache, and remove it."""
    with tempfile.TemporaryDirectory(dir=folder) as out:
        write_cache(Path(out) / "cache", backbone, split, spec, batch=batch)
