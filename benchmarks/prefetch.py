"""A step of training against the slower of its two parts: reading with targets alone, and the head's own work alone.

``python prefetch.py [CASE ...]``. Each case is measured from memory and from storage on which reading takes as long
as the head's work, in turn (as it was), with the thread that reads ahead (the default), and with ``--workers 2``.
Tokens of the maps have 768 channels at 640 px; those of ``vectors`` are CLS tokens, whose reading is Python's own work.
The first step of each way is not counted, as its batch could not be read before; memory is kept, as the commands do.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import torch

from argus_arena.distributed import Distributed
from argus_arena.run.batches import Batch, Order, TrainingData, step_batches
from argus_arena.training.learner import Learner
from argus_core.cache import Cache, CacheSource, CacheSpec, write_cache
from argus_core.canvas import Canvas
from argus_core.common.allocator import keep_memory
from argus_core.recipe import Recipe
from argus_core.saving.build import build_head
from argus_core.tokens import FeatureInfo, Needs, Tokens
from argus_data.scenes.split import open_scenes
from cache_memory import anonymous_memory
from cache_read import CHANNELS, RandomTokens
from one_read import throttled


@dataclass(frozen=True)
class Case:
    """A head, and how much of what it is given."""

    head: str
    task: str
    images: int
    batch: int
    steps: int
    side: int = 640
    needs: Needs = Needs()


CASES = {
    "light": Case("detect.sparse_query", "detect", 16, 4, 9),
    "dense": Case("segment.linear", "segment", 16, 4, 7),
    "heavy": Case("detect.slim_fcos", "detect", 16, 2, 5),
    "vectors": Case("classify.linear", "classify", 512, 128, 40, side=64, needs=Needs(maps=False, cls=True)),
}


class Noise(RandomTokens):
    """Random maps or CLS tokens, for any canvas."""

    def encode(self, canvases: torch.Tensor, extent: torch.Tensor, needs: Needs, tiles: None = None) -> Tokens:
        """Noise of the right shape."""
        size = (canvases.shape[1], canvases.shape[2])
        maps = torch.rand(len(canvases), size[0] // 16, size[1] // 16, CHANNELS).permute(0, 3, 1, 2)
        cls = torch.rand(len(canvases), 1, CHANNELS)
        return Tokens({11: maps} if needs.maps else {}, {11: cls} if needs.cls else {}, extent, size, self.info)


class Bench:
    """One case: its data, its head, and the ways of running both."""

    def __init__(self, case: Case, folder: Path) -> None:
        self.case, self.process = case, Distributed(0, 1, torch.device("cpu"))
        split = open_scenes(images=case.images, val=1, size=case.side)["train"]
        write_cache(folder, Noise(), split, CacheSpec(Canvas(case.side), case.needs))  # type: ignore[arg-type]
        source = CacheSource(Cache.open(folder), reuse=2)
        self.tasks = {case.task: split.tasks[case.task]}
        self.data = TrainingData(source, split, Order(tuple(range(case.images)), ("id",), case.batch, 0))
        head = build_head(case.head, FeatureInfo.from_dict(source.info.to_dict()), self.tasks[case.task])
        self.learner = Learner("head", head, Recipe(lr=1e-4, epochs=1000), case.images // case.batch, 0, self.process)
        self.learner.start([])
        self.fixed = self.data.batch(self.data.order.items(0), self.tasks)
        for index in range(case.images):
            split.truth(index, case.task)  # rendered once, outside of what is measured
        self.memory = 0

    def step(self, step: int, batch: Batch) -> None:
        """One step of the head."""
        tokens, targets = batch
        self.learner.step(step, tokens, targets[self.case.task])

    def compute(self) -> Iterator[None]:
        """The head alone."""
        for step in range(self.case.steps):
            self.step(step, self.fixed)
            yield

    def run(self, use: Callable[[int, Batch], None], *, turn: bool = False, workers: int = 0) -> Iterator[None]:
        """Read all steps' batches, and use each."""
        self.memory = 0
        environment = {"ARGUS_DEBUG": "1"} if turn else {}
        with (
            patch.dict(os.environ, environment),
            step_batches(self.data, self.tasks, range(self.case.steps), workers, self.process) as batches,
        ):
            for step, batch in enumerate(batches):
                use(step, batch)
                yield
                self.memory = max(self.memory, anonymous_memory())


def seconds(steps: Iterator[None]) -> float:
    """Wall time of a step, of all after the first."""
    ends = [time.perf_counter() for _ in steps]
    return (ends[-1] - ends[0]) / (len(ends) - 1)


def measure(name: str, bench: Bench, rounds: int, storage: str) -> None:
    """Print a line per way."""
    ways: dict[str, Callable[[], Iterator[None]]] = {
        "read": lambda: bench.run(lambda step, batch: None, turn=True),
        "compute": bench.compute,
        "in turn": lambda: bench.run(bench.step, turn=True),
        "ahead": lambda: bench.run(bench.step),
        "workers=2": lambda: bench.run(bench.step, workers=2),
    }
    memory: dict[str, int] = {}
    table: list[dict[str, float]] = []
    for _ in range(rounds):
        table.append({})
        for way, work in ways.items():
            table[-1][way] = seconds(work())
            memory[way] = bench.memory
    parts = [f"{way} {statistics.median(row[way] for row in table) * 1e3:.1f} ms" for way in ("read", "compute")]
    print(f"{name}, {storage}: {', '.join(parts)}")
    for way in list(ways)[2:]:
        taken = statistics.median(row[way] for row in table)
        ratio = statistics.median(row[way] / max(row["read"], row["compute"]) for row in table)
        before = statistics.median(row[way] / row["in turn"] for row in table)
        print(
            f"  {way}: {taken * 1e3:.1f} ms, {ratio:.3f} of the slower part, {before:.3f} of in turn, "
            f"{memory[way] / 2**20:.0f} MiB",
            flush=True,
        )


def main() -> None:
    """Measure the cases that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", default=list(CASES))
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    for name in options.cases:
        with tempfile.TemporaryDirectory() as folder:
            bench = Bench(CASES[name], Path(folder))
            seconds(bench.compute())
            measure(name, bench, options.rounds, "from memory")
            tokens, _ = bench.fixed
            size = sum(x.nbytes for x in (*tokens.maps.values(), *tokens.prefix.values()))
            rate = size / 1e6 / statistics.median(seconds(bench.compute()) for _ in range(3))
            with throttled(rate):
                measure(name, bench, options.rounds, f"at {rate:.1f} MB/s")


if __name__ == "__main__":
    keep_memory()
    torch.manual_seed(0)
    main()
