"""Keeping freed memory, and convolutions in channels-last order, against neither: time, page faults and peak memory.

    python allocator.py [--rounds 3] [WORK ...]      # by default all, see WORKS

Each side of a comparison is a process of its own, in turn, set up as the commands set up theirs. "before" has
ARGUS_KEEP_MEMORY=0, and its cached networks have images and weights in torch's default order of memory.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from argus_core import Argus, Detect, build_head
from argus_core.backbones.timm_models import build, wrap
from argus_core.cache import CacheSpec, write_cache
from argus_core.canvas import Canvas
from argus_core.common.allocator import SWITCH, keep_memory
from argus_core.registry.places import folder_of
from argus_core.tokens import FeatureInfo
from argus_data.scenes.split import open_scenes

CALLS = 5


def caching(name: str, side: int, batch: int) -> Callable[[], object]:
    """Caching two passes of ``batch`` images with a network of random weights."""
    backbone = wrap(build(name), name, license="apache-2.0")
    if os.environ.get(SWITCH) == "0":
        undo(backbone.model)
    split: Any = open_scenes(images=2 * batch, val=1, size=64)["train"]
    split.read = cache(split.read)  # drawing them is no part of caching

    def work() -> None:
        with tempfile.TemporaryDirectory() as folder:
            write_cache(Path(folder) / "cache", backbone, split, CacheSpec(Canvas(side)), batch=batch)

    return work


def undo(network: nn.Module) -> None:
    """Give images and weights to convolutions in the order of memory that is torch's default."""
    network.to(memory_format=torch.contiguous_format)
    first = next(layer for layer in network.modules() if isinstance(layer, nn.Conv2d))
    first.register_forward_pre_hook(lambda _, images: (images[0].contiguous(),))


def training(name: str, side: int) -> Callable[[], object]:
    """A step of a detector of 80 classes on four images with 768 channels, as a cache gives them."""
    info, task = FeatureInfo.vit(768), Detect(classes=tuple(f"class {number}" for number in range(80)))
    head = build_head(name, info, task).train()
    layers = head.needs.resolve(info).layers
    tokens, targets = task.example(info, layers, (side, side), 4, torch.Generator().manual_seed(0))
    maps = {layer: one.contiguous(memory_format=torch.channels_last) for layer, one in tokens.maps.items()}
    features = type(tokens)(maps, tokens.prefix, tokens.extent, tokens.size, info).features(head.needs)
    optimizer = torch.optim.AdamW(head.parameters(), 1e-4)

    def work() -> None:
        optimizer.zero_grad()
        sum(head.loss(head(features), targets).values()).backward()  # type: ignore[union-attr]
        optimizer.step()

    return work


def perceiving() -> Callable[[], object]:
    """All answers of the built-in model about four images of noise."""
    argus = Argus.load(folder_of("lite"))
    images = list(np.random.default_rng(0).integers(0, 256, (4, 480, 640, 3), dtype=np.uint8))
    return lambda: argus.perceive(images)


WORKS: dict[str, Callable[[], Callable[[], object]]] = {
    "lite0": partial(caching, "tf_efficientnet_lite0", 352, 16),
    "mobilenet": partial(caching, "mobilenetv2_100", 352, 16),
    "vit_tiny": partial(caching, "vit_tiny_patch16_224", 640, 4),
    "vit_base": partial(caching, "vit_base_patch16_224", 640, 2),
    "slim_fcos": partial(training, "detect.slim_fcos", 640),
    "split_tower": partial(training, "detect.split_tower", 640),
    "perceive": perceiving,
}


def measure(name: str) -> dict[str, float]:
    """Medians of a few calls after a warm-up, and the peak of the process."""
    keep_memory()
    work = WORKS[name]()
    work()
    rows = []
    for _ in range(CALLS):
        before, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        work()
        after = resource.getrusage(resource.RUSAGE_SELF)
        rows.append((time.perf_counter() - start, after.ru_minflt - before.ru_minflt, after.ru_stime - before.ru_stime))
    seconds, faults, system = (statistics.median(column) for column in zip(*rows, strict=True))
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    peak = int(status.split("VmHWM:")[1].split()[0]) / 1024
    return {"seconds": seconds, "faults": faults, "system": system, "peak": peak}


def child(name: str, switch: str) -> dict[str, float]:
    """What a new process measures."""
    command = [sys.executable, __file__, "--child", name]
    done = subprocess.run(command, env={**os.environ, SWITCH: switch}, stdout=subprocess.PIPE, check=True)
    values: dict[str, float] = json.loads(done.stdout)
    return values


def compare(name: str, rounds: int) -> None:
    """Print a line of both sides and one of the ratios of time and peak memory, medians over the rounds."""
    pairs = [(child(name, "0"), child(name, "1")) for _ in range(rounds)]
    for side, rows in zip(("before", "after"), zip(*pairs, strict=True), strict=True):
        of = {key: statistics.median(row[key] for row in rows) for key in rows[0]}
        print(
            f"{name}, {side}: {of['seconds'] * 1e3:.0f} ms, {of['faults']:.0f} faults, "
            f"{of['system'] * 1e3:.0f} ms in the system, peak {of['peak']:.0f} MiB"
        )
    time_ratio, peak_ratio = (statistics.median(b[key] / a[key] for a, b in pairs) for key in ("seconds", "peak"))
    print(f"{name}: ratio of time {time_ratio:.3f}, of peak memory {peak_ratio:.2f} (goal <= 1.30)", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("works", nargs="*", metavar="WORK", help=", ".join(WORKS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--child", choices=WORKS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(measure(options.child)))
    else:
        for name in options.works or WORKS:
            compare(name, options.rounds)
