"""Heads that several processes fit, each of which reads its share, are those that one process fits."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from arena_help import DATA
from argus_arena.distributed import Distributed
from argus_arena.requests import CacheRequest
from argus_arena.run.batches import FitBatches, Order, TrainingData
from argus_arena.tools.cache import build_cache
from argus_core.cache import Cache, CacheSource
from argus_core.head import Head
from argus_core.plugins.data_spec import open_data
from argus_core.registry import HEADS
from argus_core.saving.build import build_head, head_class

IMAGES, SIZE, BATCH = 20, 2, 3
PASSES = {
    "detect.analytic_person": 2,
    "detect.closed_form": 3,
    "detect.prototype": 2,
    "detect.threshold_prototype": 3,
    "segment.ridge": 2,
}
"""How often a head that is fitted goes through the images, if not once."""


def fitted_heads():
    return [entry.name for entry in HEADS.entries() if head_class(entry.name).fit is not Head.fit]


class Counting(CacheSource):
    """A source that counts the images it is asked for."""

    images = 0

    def read(self, items):
        type(self).images += len(items)
        return super().read(items)


def fit(cache: str, process: Distributed) -> dict[str, object]:
    """The tensors of every head that is fitted, and how many images were read for it."""
    split = open_data(DATA)["train"]
    done = {}
    for name in fitted_heads():
        source = Counting(Cache.open(Path(cache) / "train"))
        data = TrainingData(source, split, Order(tuple(range(IMAGES)), ("id",), BATCH, 0))
        torch.manual_seed(0)
        head = build_head(name, source.info, split.tasks[name.partition(".")[0]])
        Counting.images = 0
        head.fit(FitBatches(data, head, BATCH, process))
        done[name] = (head.state_dict(), Counting.images)
    return done


def one_of_several(rank: int, cache: str, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=SIZE)
    torch.save(fit(cache, Distributed(rank, SIZE, torch.device("cpu"))), Path(folder, f"{rank}.pt"))
    dist.destroy_process_group()


def apart(some: dict[str, torch.Tensor], others: dict[str, torch.Tensor]) -> list[str]:
    """The tensors that differ by more than 1e-6 of their largest value."""
    pairs = {key: (value.double(), some[key].double()) for key, value in others.items() if value.numel()}
    return [key for key, (a, b) in pairs.items() if (a - b).abs().max() > 1e-6 * a.abs().max().clamp(min=1)]


@pytest.mark.slow
def test_several_processes_read_a_share_each_and_fit_the_same_heads(forked, tmp_path):
    cache = str(tmp_path / "cache")
    build_cache(CacheRequest(data=DATA, out=Path(cache), backbone="tiny", canvas="64", cls=True))
    whole = fit(cache, Distributed(0, 1, torch.device("cpu")))
    assert set(whole) >= {"classify.knn", "classify.prototypes", "detect.compression", *PASSES}
    mp.start_processes(one_of_several, (cache, str(tmp_path)), nprocs=SIZE, start_method=forked.get_start_method())
    parts = [torch.load(tmp_path / f"{rank}.pt") for rank in range(SIZE)]
    for name, (state, images) in whole.items():
        assert images == IMAGES * PASSES.get(name, 1)
        counts = [part[name][1] for part in parts]
        assert sum(counts) == images and max(counts) < 0.7 * images, name
        for part in parts:
            assert not apart(part[name][0], state), name
    for part in parts:
        assert all(torch.equal(part["classify.knn"][0][key], value) for key, value in whole["classify.knn"][0].items())
