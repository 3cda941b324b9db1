"""Opening a run and a comparison of 20 heads on a data set with as many images as COCO: 118,287 and 5,000.

``python coco_size.py FOLDER`` draws annotations, links image files to a few small ones and caches tokens of a random
backbone on 64 px, as many images in a shard as fill 64 MiB with a ViT-B's tokens at 640 px (minutes, once; 2 GB): what
is counted, opened and checked is as much as on COCO, what is computed is little.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from argus_arena.comparison import compare
from argus_arena.distributed import Distributed
from argus_arena.requests import Comparison, RunRequest, make_request
from argus_arena.run.batches import step_batches
from argus_arena.run.config import resolve, sized
from argus_arena.run.data_faults import check_run_data
from argus_arena.run.prepare import prepare
from argus_arena.run.sources import backbone_record, open_run_data
from argus_arena.training.learner import Learner
from argus_arena.training.train import make_learners
from argus_core.backbones import load_backbone
from argus_core.cache import CacheSpec, write_cache
from argus_core.canvas import Canvas
from argus_core.common.files import write_sealed
from argus_core.plugins.data_spec import open_data
from argus_core.plugins.hooks import load_plugins
from argus_core.tokens import Needs

IMAGES = {"train2017": 118_287, "val2017": 5_000}
OBJECTS, CLASSES, FILES = 7, 80, 8
SIZE = (96, 128)
SHARD = 24
"""Images of a ViT-B's tokens at 640 px in 64 MiB."""
STEPS = 30
LIGHT = ("tropical", "wavelet", "cascade_pool", "optimal_transport")
HEADS = tuple(f"h{number}=detect.{LIGHT[number % len(LIGHT)]}" for number in range(20))


def make_data(folder: Path, images: dict[str, int]) -> None:
    """COCO's layout: drawn boxes, and image files that are links to a few."""
    rng = np.random.default_rng(0)
    (folder / "annotations").mkdir(parents=True)
    categories = [{"id": n + 1, "name": f"class {n}"} for n in range(CLASSES)]
    for split, count in images.items():
        (folder / split).mkdir()
        sources = [folder / split / f"source{n}.jpg" for n in range(FILES)]
        for source in sources:
            Image.fromarray(rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8)).save(source)
        names = [f"{n:012d}.jpg" for n in range(count)]
        for n, name in enumerate(names):
            os.link(sources[n % FILES], folder / split / name)
        entries = [{"id": n, "file_name": name, "height": SIZE[0], "width": SIZE[1]} for n, name in enumerate(names)]
        corners = rng.integers(0, 48, (count * OBJECTS, 2)).tolist()
        annotations = [
            {"id": n, "image_id": n // OBJECTS, "category_id": n % CLASSES + 1, "bbox": [x, y, 40, 40], "area": 1600}
            for n, (x, y) in enumerate(corners)
        ]
        content = {"images": entries, "annotations": annotations, "categories": categories}
        (folder / "annotations" / f"instances_{split}.json").write_text(json.dumps(content))


def make_tokens(folder: Path) -> None:
    """A cache of both splits, in as many shards as a ViT-B at 640 px would have."""
    backbone, spec = load_backbone("tiny", device="cpu"), CacheSpec(Canvas(64, 64), Needs((-1,)))
    for name, split in open_data(f"coco:{folder / 'data'}").items():
        write_cache(folder / "cache" / name, backbone, split, spec, batch=SHARD, shard_bytes=1)
    record = backbone_record(backbone, None, {})
    write_sealed(folder / "cache" / "backbone.json", {**record, "splits": ["train", "val"]})


def request_of(folder: Path, heads: tuple[str, ...]) -> RunRequest:
    """A run on the data and tokens in a folder."""
    given = {
        "heads": heads,
        "data": f"coco:{folder / 'data'}",
        "cache": str(folder / "cache"),
        "device": "cpu",
        "settings": {"width": 32},
    }
    return make_request(given)


@contextlib.contextmanager
def lap(what: str) -> Iterator[None]:
    """Print how long a block takes."""
    began = time.perf_counter()
    yield
    print(f"{what}: {time.perf_counter() - began:.2f} s", flush=True)


def memory() -> str:
    """Resident memory of this process, without and with what the system could drop, in MiB."""
    lines = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return ", ".join(f"{name} {int(lines[name].split()[0]) // 1024} MiB" for name in ("RssAnon", "VmRSS", "VmHWM"))


def open_run(folder: Path) -> None:
    """Print how long it takes to open a run of one head, and to train its first step."""
    print(f"after imports: {memory()}")
    request, process = request_of(folder, ("slim_fcos",)), Distributed(0, 1, torch.device("cpu"))
    with lap("data and caches"):
        data = open_run_data(request, load_plugins())
    config = sized(resolve(request), data.images)
    with lap("data checked"):
        check_run_data(data, ["detect"], accept=False, loud=False)
    with lap("run prepared"):
        run = prepare(config, data, process)
    (learner,) = make_learners(config, run, process)
    learner.start([])
    tasks = {"detect": learner.head.task}
    with step_batches(run.training, tasks, range(STEPS), 0, process) as batches:
        with lap("first step"):
            learner.step(0, *first(next(batches)))
        for step, batch in enumerate(batches, start=1):
            learner.step(step, *first(batch))
    print(f"after {STEPS} steps: {memory()}")


def first(batch: tuple) -> tuple:
    """The tokens and the targets of the one task."""
    tokens, targets = batch
    return tokens, targets["detect"]


class Begun(KeyboardInterrupt):
    """The heads of a comparison are about to be fitted and trained."""


def open_comparison(folder: Path) -> None:
    """Print how long a comparison of 20 heads takes until they are fitted and trained, and what it asks of the disk."""
    calls, status = Counter[str](), os.stat

    def stop(*_: object) -> None:
        raise Begun

    def counting(path: Any, *more: Any, **options: Any) -> os.stat_result:
        calls["file statuses"] += str(path).startswith(str(folder / "data"))
        return status(path, *more, **options)

    Learner.start, os.stat = stop, counting  # type: ignore[method-assign, assignment]
    out = folder / f"comparison{os.getpid()}"
    with lap(f"comparison of {len(HEADS)} heads until they begin"), contextlib.suppress(Begun):
        compare.compare_heads(request_of(folder, HEADS), Comparison(out=out, seeds=1))
    print(f"  {calls['file statuses']:,} file statuses of images; {memory()}")


PARTS = {"run": open_run, "comparison": open_comparison}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--part", choices=PARTS)
    options = parser.parse_args()
    if options.part:
        PARTS[options.part](options.folder)
        return
    if not (options.folder / "data").exists():
        make_data(options.folder / "data", IMAGES)
    if not (options.folder / "cache" / "backbone.json").exists():
        make_tokens(options.folder)
    for part in PARTS:
        subprocess.run([sys.executable, __file__, str(options.folder), "--part", part], check=True)


if __name__ == "__main__":
    main()
