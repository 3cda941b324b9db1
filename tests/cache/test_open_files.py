"""Reading tokens and images asks a file system for little: files are opened seldom, and few of them stay open."""

from __future__ import annotations

import gc
import os
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from argus_core.backbones.live import LiveSource
from argus_core.cache import Cache, CacheSource, shard, write_cache
from argus_core.plugins.data_spec import open_data
from cache_fakes import SPEC, FakeBackbone, FakeSplit

WATCHED: list[Counter[str]] = []
"""What counts the files that are opened while it is there; a hook cannot be removed."""
BATCH = [(4, "id"), (0, "hflip"), (10, "id"), (7, "id")]


def hook(event, arguments):
    if WATCHED and event == "open" and isinstance(arguments[0], str):
        WATCHED[-1]["open", arguments[0]] += 1


sys.addaudithook(hook)


@pytest.fixture
def calls(monkeypatch):
    """``(what, path)`` of every file that is opened, and of every one whose status is asked for."""
    counted, status = Counter(), os.stat

    def counting(path, *more, **options):
        counted["stat", os.fspath(path) if isinstance(path, str | Path) else path] += 1
        return status(path, *more, **options)

    monkeypatch.setattr(os, "stat", counting)
    WATCHED.append(counted)
    yield counted
    WATCHED.remove(counted)


@pytest.fixture(scope="module", params=["fp16", "int8", "int4", "pca-5"])
def cache(tmp_path_factory, request):
    """Six shards of two layers' maps and CLS."""
    path = tmp_path_factory.mktemp("files") / "cache"
    write_cache(path, FakeBackbone(), FakeSplit(), replace(SPEC, dtype=request.param), batch=2, shard_bytes=1)
    return Cache.open(path)


@pytest.mark.parametrize("positional", [True, False])
def test_a_shard_is_opened_once_and_then_nothing_is(cache, calls, positional):
    source = CacheSource(cache, positional=positional)
    calls.clear()
    source.read(BATCH)
    opened = [path for (what, path), count in calls.items() if what == "open" for _ in range(count)]
    assert len(opened) == len(set(opened)) <= 4  # a memory map is opened by the library, unseen
    calls.clear()
    for _ in range(3):
        source.read(BATCH[::-1])
    assert not calls


def test_few_files_stay_open_and_none_when_nobody_reads(cache, monkeypatch):
    monkeypatch.setattr(shard, "OPEN_FILES", 2)
    whole = CacheSource(cache, positional=False)
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    source = CacheSource(cache, positional=True)
    for index in [*range(11), *range(10, -1, -1)]:
        found, wanted = source.read([(index, "id")]).tokens, whole.read([(index, "id")]).tokens
        for layer, cells in wanted.maps.items():
            assert torch.equal(found.maps[layer], cells)
        assert len(os.listdir("/proc/self/fd")) <= before + 2
    del source
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_live_image_is_opened_once_and_its_status_asked_for_once(tmp_path, calls):
    for number in range(4):
        (tmp_path / "train" / f"class{number % 2}").mkdir(parents=True, exist_ok=True)
        pixels = np.full((20, 30, 3), number * 60, np.uint8)
        Image.fromarray(pixels).save(tmp_path / "train" / f"class{number % 2}" / f"{number}.png")
    split = open_data(f"folder:{tmp_path}")["train"]
    source = LiveSource(FakeBackbone(), split, SPEC.canvas, SPEC.needs, SPEC.views)
    calls.clear()
    source.read([(index, "hflip") for index in range(4)])
    images = {call: count for call, count in calls.items() if str(call[1]).endswith(".png")}
    assert images and set(images.values()) == {1}
