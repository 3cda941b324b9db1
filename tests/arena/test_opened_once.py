"""What runs stand on is opened and checked once, however many heads and seeds are trained on it."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from arena_help import DATA, small_cache
from argus_arena.comparison.grouping import select_heads
from argus_arena.distributed import Distributed
from argus_arena.requests import make_request
from argus_arena.run import sources
from argus_arena.run.config import resolve, sized
from argus_arena.run.prepare import prepare
from argus_arena.run.sources import open_run_data
from argus_core.cache import Cache
from argus_core.errors import ArgusError
from argus_core.plugins.hooks import load_plugins
from argus_data.scenes.split import SceneSplit

HEADS = ("fcos", "centernet", "sparse_query")
ALONE = Distributed(0, 1, torch.device("cpu"))


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return small_cache(tmp_path_factory.mktemp("once") / "cache")


@pytest.fixture
def counts(monkeypatch):
    """How often each costly step is taken."""
    calls = Counter()
    places = [(Cache, "check_images"), (Cache, "open"), (SceneSplit, "annotation_digest"), (sources, "LiveOrigin")]
    for owner, name in places:
        original = getattr(owner, name)

        def counted(*given, original=original, name=name, **options):
            calls[name] += 1
            return original(*given, **options)

        monkeypatch.setattr(owner, name, counted)
    return calls


def prepare_each(request, seeds=2):
    data = open_run_data(request, load_plugins())
    config = sized(resolve(request), data.images)
    records = []
    for seed in range(seeds):
        for name in config.heads:
            alone = select_heads(config, (name,))
            seeded = alone.model_copy(update={"request": alone.request.model_copy(update={"seed": seed})})
            records.append(prepare(seeded, data, ALONE).record)
    assert all(record == records[0] for record in records)
    return data


def test_caches_are_opened_and_images_compared_once(cache, counts):
    prepare_each(make_request({"heads": HEADS, "data": DATA, "cache": str(cache)}))
    assert counts == {"open": 2, "check_images": 2, "annotation_digest": 2}


def test_a_backbone_is_loaded_once_for_the_same_tokens(counts):
    given = {"heads": HEADS, "data": DATA, "backbone": "tiny", "canvas": "64"}
    data = prepare_each(make_request(given))
    assert counts == {"LiveOrigin": 1, "annotation_digest": 2}
    other = make_request({**given, "canvas": "96"})
    prepare(sized(resolve(other), data.images), data, ALONE)
    assert counts["LiveOrigin"] == 2 and [origin.canvas.size for origin in data._live.values()] == [(96, 96)]


def test_images_that_changed_are_found_by_the_first_run(cache, counts):
    request = make_request({"heads": HEADS, "data": f"{DATA},seed=5", "cache": str(cache)})
    with pytest.raises(ArgusError, match="changed since the cache"):
        prepare_each(request)
