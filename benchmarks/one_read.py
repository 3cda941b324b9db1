"""Training eight light heads on one read of a cache, against one after another, on slow and on fast storage.

Slow storage is the same cache with a reader that is delayed to ``--rate`` MB/s.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import save_file

from argus_arena.comparison.grouping import select_heads
from argus_arena.distributed import join_processes
from argus_arena.requests import CacheRequest, make_request
from argus_arena.run.config import RunConfig, resolve
from argus_arena.run.folder import RunFolder
from argus_arena.run.prepare import prepare
from argus_arena.run.sources import open_run_data
from argus_arena.tools.cache import build_cache
from argus_arena.training.checkpoints import Checkpoints
from argus_arena.training.learner import Learner
from argus_arena.training.loop import Loop, LoopOptions
from argus_arena.training.progress import Reporter
from argus_arena.training.train import make_learners
from argus_core.backbones.timm_models import build
from argus_core.cache import CacheSource
from argus_core.plugins.hooks import load_plugins
from argus_core.tokens import Item, PlacedTokens

DATA = "scenes:images=64,val=2,size=320"
NETWORK = "vit_base_patch16_dinov3_qkvb"
HEADS = tuple(
    f"h{n}={name}"
    for n, name in enumerate(
        ["detect.tropical", "detect.wavelet", "detect.cascade_pool", "detect.optimal_transport"] * 2
    )
)
SETTINGS = {"batch": 8, "steps": 8, "width": 32}


class TrainingOnly(Loop):
    """The loop without evaluations and saved states."""

    def _due(self, done: int) -> list[Learner]:
        return []

    def _save(self, done: int) -> None:
        pass


@contextmanager
def throttled(rate: float) -> Iterator[None]:
    """Delay reads to ``rate`` MB/s; 0 leaves them as they are."""
    read = CacheSource.read

    def slow(self: CacheSource, items: Sequence[Item]) -> PlacedTokens:
        start = time.perf_counter()
        tokens, placements = read(self, items)
        size = sum(x.numel() * x.element_size() for x in (*tokens.maps.values(), *tokens.prefix.values()))
        time.sleep(max(0.0, size / rate / 1e6 - (time.perf_counter() - start)))
        return PlacedTokens(tokens, placements)

    if rate:
        CacheSource.read = slow  # type: ignore[method-assign]
    try:
        yield
    finally:
        CacheSource.read = read  # type: ignore[method-assign]


def train(config: RunConfig, names: tuple[str, ...]) -> float:
    """Seconds of training these heads side by side."""
    config, plugins = select_heads(config, names), load_plugins()
    device = config.request.device or "cpu"
    with tempfile.TemporaryDirectory() as folder, join_processes(device) as process:
        run = prepare(config, open_run_data(config.request, plugins), process)
        learners = make_learners(config, run, process)
        steps, out = run.training.order.steps_per_epoch, RunFolder(Path(folder) / "run")
        checkpoints = Checkpoints(out, run.record, run.heads, steps, process, plugins, Reporter(), run.selection)
        loop = TrainingOnly(learners, run.training, run.scoring, checkpoints, LoopOptions())
        start = time.perf_counter()
        loop.run()
        return time.perf_counter() - start


def main() -> None:
    """Print the ratio for both kinds of storage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=5.0, help="MB/s of the slow storage")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder) / "cache"
        weights = Path(folder) / "random.safetensors"
        save_file(build(NETWORK).state_dict(), weights)
        build_cache(CacheRequest(data=DATA, out=cache, backbone=f"timm:{NETWORK}", weights=weights, canvas="320"))
        config = resolve(make_request({"heads": HEADS, "data": DATA, "cache": cache, "settings": SETTINGS}))
        names = tuple(config.heads)
        for rate, goal in ((options.rate, ">= 4.0"), (0.0, ">= 1.0")):
            with throttled(rate):
                train(config, names[:1])
                pairs = [
                    (sum(train(config, (name,)) for name in names), train(config, names)) for _ in range(options.rounds)
                ]
            ratio = statistics.median(apart / together for apart, together in pairs)
            apart, together = (statistics.median(side) for side in zip(*pairs, strict=True))
            storage = f"{rate:g} MB/s" if rate else "not delayed"
            print(f"storage {storage}: {apart:.1f} s apart, {together:.1f} s together, {ratio:.2f} times (goal {goal})")


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
