"""What `arena cache --plan` foretells against what then happens: seconds and bytes on two data sets, in turn.

python plan.py DATA OUT    # DATA holds imagenette160, nyuv2 and weights_vit_tiny

A plan and the caching that it is of follow each other at once, because other processes on a machine make both slower.
Which share of the time this process had of a CPU while it planned, and while it cached, tells whether they did so
alike. Caches are removed at the end of each. Bytes are those of stored tokens and components.
"""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

from safetensors import safe_open

from argus_arena.requests import CacheRequest
from argus_arena.run.data_faults import DataChecks
from argus_arena.tools.cache import open_backbone, open_splits, specs_of
from argus_arena.tools.cache_forecast import Forecast
from argus_arena.tools.cache_plan import plan_cache
from argus_core.cache import write_cache
from argus_core.cache.writer import batch_size
from minute_heads import NYU

GOAL = 0.2
T = TypeVar("T")


class Case(NamedTuple):
    """A request by name."""

    name: str
    request: CacheRequest


def cases(data: Path, out: Path) -> Iterator[Case]:
    """Both data sets and backbones, with and without components."""
    (weights,) = (data / "weights_vit_tiny").glob("*.safetensors")
    half = {"mean": (0.5,) * 3, "std": (0.5,) * 3}
    vit = {"backbone": "timm:vit_tiny_patch16_224", "weights": weights, "backbone_options": half, "canvas": "224"}
    images, rooms = f"folder:{data}/imagenette160", NYU.format(data)
    for dtype in ("fp16", "pca-64-int8"):
        lite = {"backbone": "lite0", "canvas": "160", "layers": (2, 3, 4), "cls": True}
        yield Case("imagenette160, lite0", CacheRequest(data=images, out=out / "lite", dtype=dtype, **lite))
        yield Case("nyuv2, ViT-Tiny", CacheRequest(data=rooms, out=out / "vit", dtype=dtype, layers=(5, 11), **vit))


def shared(work: Callable[[], T]) -> tuple[T, float]:
    """What some work returns, and the seconds of CPU that this process had for each second of it."""
    began, used = time.perf_counter(), time.process_time()
    result = work()
    return result, (time.process_time() - used) / (time.perf_counter() - began)


def foretold(request: CacheRequest) -> Forecast:
    """The forecast of the number format of a request."""
    (forecast,) = [each for each in plan_cache(request).forecasts if each.dtype == request.dtype]
    return forecast


def cached(request: CacheRequest) -> float:
    """Seconds of writing the caches of a request, without loading the backbone and opening the data."""
    splits, backbone = open_splits(request, DataChecks(request.accept_faults)), open_backbone(request)
    paths = [request.out / name for name in request.splits]
    began = time.perf_counter()
    for path, split, spec in zip(paths, splits, specs_of(request), strict=True):
        batch = request.batch or batch_size(paths, backbone.device)
        write_cache(path, backbone, split, spec, batch=batch, share=paths)
    return time.perf_counter() - began


def stored_bytes(folder: Path) -> int:
    """Bytes of all tensors of tokens and components."""
    total = 0
    for file in (*folder.glob("*/shards/*.safetensors"), *folder.glob("*/basis.*.safetensors")):
        with safe_open(file, "pt") as opened:
            total += sum(opened.get_tensor(name).nbytes for name in opened.keys())  # noqa: SIM118
    return total


def main() -> None:
    """Print a line of a Markdown table for each case and round."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    print("| data, backbone | dtype | foretold | took | ratio | CPU planning | caching | bytes foretold | written |")
    print("|---|---|---|---|---|---|---|---|---|")
    for case in [case for case in cases(options.data, options.out) for _ in range(options.rounds)]:
        forecast, planning = shared(lambda case=case: foretold(case.request))
        seconds, caching = shared(lambda case=case: cached(case.request))
        size, ratio = stored_bytes(case.request.out), forecast.cache_seconds / seconds
        shutil.rmtree(case.request.out)
        met = "" if abs(ratio - 1) <= GOAL else " (goal 0.8 to 1.2: MISSED)"
        times = f"{forecast.cache_seconds:.1f} s | {seconds:.1f} s | {ratio:.2f}{met} | {planning:.0%} | {caching:.0%}"
        print(f"| {case.name} | {case.request.dtype} | {times} | {forecast.bytes:,} | {size:,} |", flush=True)


if __name__ == "__main__":
    main()
