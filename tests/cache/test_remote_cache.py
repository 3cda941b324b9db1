"""Tokens of a cache in an object store are those of a disk, and nothing is asked for twice."""

from __future__ import annotations

import pickle
from collections import Counter
from dataclasses import replace

import fsspec
import pytest
import torch
from fsspec.implementations.memory import MemoryFileSystem

from argus_core.cache import Cache, CacheSource, remote, write_cache
from cache_fakes import SPEC, FakeBackbone, FakeSplit

ITEMS = [(3, "id"), (0, "hflip"), (9, "id"), (3, "hflip"), (5, "id")]


@pytest.fixture(params=["fp16", "int8", "int4", "pca-5"])
def paths(request, tmp_path, monkeypatch):
    """The cache on a disk, and its copy in a store."""
    monkeypatch.setenv("ARGUS_CACHE_DIR", str(tmp_path / "kept"))
    monkeypatch.setattr(remote, "BLOCK", 200)
    spec = replace(SPEC, dtype=request.param)
    write_cache(tmp_path / "cache", FakeBackbone(), FakeSplit(11), spec, batch=2, shard_bytes=40_000)
    MemoryFileSystem.store.clear()
    fsspec.filesystem("memory").put(f"{tmp_path / 'cache'}/", "/bucket/cache/", recursive=True)
    return tmp_path / "cache", "memory://bucket/cache"


@pytest.fixture
def asked(monkeypatch):
    """Counts what the store is asked for; ranges one by one."""
    counts: Counter[str] = Counter()
    for name in ("info", "ls", "find", "cat_ranges", "open"):
        call = getattr(MemoryFileSystem, name)

        def counted(self, *args, _name=name, _call=call, **more):
            counts[_name] += len(args[0]) if _name == "cat_ranges" else 1
            return _call(self, *args, **more)

        monkeypatch.setattr(MemoryFileSystem, name, counted)
    return counts


def same(placed, other):
    ours, theirs = placed.tokens, other.tokens
    assert placed.placements == other.placements and ours.maps.keys() == theirs.maps.keys()
    assert all(torch.equal(ours.maps[layer], theirs.maps[layer]) for layer in ours.maps)
    assert all(torch.equal(ours.prefix[layer], theirs.prefix[layer]) for layer in ours.prefix)


@pytest.mark.parametrize("reuse", [0, 2])
def test_batches_are_the_same_and_kept(paths, asked, reuse):
    here, there = (CacheSource(Cache.open(path), reuse=reuse) for path in paths)
    asked.clear()
    for _ in range(3):
        same(there.read(ITEMS), here.read(ITEMS))
    assert set(asked) == {"cat_ranges"}  # no listing, no size
    shards = {index // there._shard_images for index, _ in ITEMS}
    whole = sum(-(-int(there._index.shard_bytes[number]) // 200) for number in shards)
    first, asked["cat_ranges"] = asked["cat_ranges"], 0
    assert 0 < first <= whole
    other = pickle.loads(pickle.dumps(there))
    same(other.read(ITEMS), here.read(ITEMS))
    assert not asked["cat_ranges"]  # read from this machine


def test_nothing_need_be_kept(paths, asked, monkeypatch):
    monkeypatch.setenv("ARGUS_CACHE_BYTES", "0")
    here, there = (CacheSource(Cache.open(path)) for path in paths)
    same(there.read(ITEMS), here.read(ITEMS))
    before = asked["cat_ranges"]
    same(there.read(ITEMS), here.read(ITEMS))
    assert asked["cat_ranges"] > before


def test_only_what_is_needed_is_read(paths, asked):
    there = CacheSource(Cache.open(paths[1]))
    asked.clear()
    there.read(ITEMS[:1])
    one, asked["cat_ranges"] = asked["cat_ranges"], 0
    there.read([(index, "id") for index in range(11)])
    assert one < asked["cat_ranges"] / 2
