"""Reading ahead: order, errors, threads that end, and memory that is not overwritten while it is used."""

from __future__ import annotations

import copy
import threading
import traceback

import pytest

from argus_core.backbones.live import FramedSource
from argus_core.cache import Cache, CacheSource, write_cache
from argus_core.cache.ahead import Ahead, reads_ahead
from argus_core.canvas import Canvas
from argus_core.tokens import Needs
from cache_fakes import SPEC, FakeBackbone, FakeSplit

FIRST, SECOND, THIRD = [(0, "id"), (3, "hflip")], [(5, "id"), (1, "id")], [(7, "hflip"), (2, "id")]


def readers() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("read-ahead")]


def write(path) -> Cache:
    write_cache(path, FakeBackbone(), FakeSplit(), SPEC, batch=2, shard_bytes=30_000)
    return Cache.open(path)


def making(made: list[int], count: int = 5, fault: BaseException | None = None, at: int = 2):
    """Numbers, noted when they are made; ``fault`` is raised in the place of number ``at``."""
    for number in range(count):
        made.append(number)
        if fault is not None and number == at:
            raise fault
        yield number


@pytest.mark.parametrize("thread", [False, True])
def test_items_come_in_order_and_the_end_stays_the_end(thread):
    with Ahead(making([]), thread=thread) as items:
        assert list(items) == [0, 1, 2, 3, 4] and list(items) == []
    assert not readers()


def test_the_next_item_is_made_unasked_and_only_that_one():
    made: list[int] = []
    with Ahead(making(made), thread=True) as items:
        assert made == []
        for number in range(4):
            assert next(items) == number
            items.settle()
            assert made == list(range(number + 2))


def test_without_a_thread_an_item_is_made_when_it_is_asked_for():
    made: list[int] = []
    with Ahead(making(made), thread=False) as items:
        assert next(items) == 0
        items.settle()
        assert made == [0]


@pytest.mark.parametrize("thread", [False, True])
@pytest.mark.parametrize("fault", [ValueError("no such mask"), SystemExit(3), KeyboardInterrupt()])
def test_an_error_is_raised_in_the_place_of_its_item_with_its_traceback(fault, thread):
    made: list[int] = []
    with Ahead(making(made, fault=fault), thread=thread) as items:
        assert [next(items), next(items)] == [0, 1]
        with pytest.raises(type(fault)) as caught:
            next(items)
        assert caught.value is fault
        assert "making" in [frame.name for frame in traceback.extract_tb(fault.__traceback__)]
    assert made == [0, 1, 2] and not readers()


def test_an_error_of_an_item_that_nobody_asks_for_is_not_raised():
    with Ahead(making([], fault=ValueError(), at=1), thread=True) as items:
        assert next(items) == 0
        items.settle()


def test_a_thread_ends_with_its_item():
    """OpenMP's helpers of a thread that rests would slow down the heads."""
    with Ahead((threading.get_ident() for _ in range(3)), thread=True) as items:
        assert next(items) != threading.get_ident()
        items.settle()
        assert not readers()


def test_no_thread_is_left_when_the_user_of_the_items_fails():
    def use(items):
        with items:
            for _ in items:
                assert readers()
                raise RuntimeError

    made: list[int] = []
    with pytest.raises(RuntimeError):
        use(Ahead(making(made), thread=True))
    assert not readers() and len(made) <= 2


@pytest.mark.parametrize("thread", [False, True])
def test_what_is_waited_for_is_counted_and_what_is_used_is_not(monkeypatch, thread):
    clock = [0.0]
    monkeypatch.setattr("argus_core.cache.ahead.time.perf_counter", lambda: clock[0])

    def slowly():
        clock[0] += 5
        yield 0

    with Ahead(slowly(), thread=thread) as items:
        next(items)
        items.settle()
        clock[0] += 100
        assert list(items) == [] and items.waited == 5


def test_a_batch_outlives_as_many_reads_as_are_asked_for(tmp_path):
    cache = write(tmp_path)
    fresh, turning = CacheSource(cache), CacheSource(cache, reuse=2)
    first = turning.read(FIRST).tokens
    second = turning.read(SECOND).tokens
    for tokens, items in ((first, FIRST), (second, SECOND)):
        for layer, tensor in fresh.read(items).tokens.maps.items():
            assert tensor.equal(tokens.maps[layer])
    assert turning.read(THIRD).tokens.maps[1].data_ptr() == first.maps[1].data_ptr()
    assert second.maps[1].equal(fresh.read(SECOND).tokens.maps[1])


@pytest.mark.parametrize("positional", [False, True])
def test_a_copy_of_a_source_has_memory_of_its_own(tmp_path, positional):
    source = CacheSource(write(tmp_path), reuse=1, positional=positional)
    kept = source.read(FIRST).tokens
    other = copy.copy(source)
    assert other.read(SECOND).tokens.maps[1].data_ptr() != kept.maps[1].data_ptr()
    assert other._scratch is not source._scratch and other._files is not source._files
    assert kept.maps[1].equal(CacheSource(Cache.open(tmp_path)).read(FIRST).tokens.maps[1])


def test_maps_of_caches_are_read_by_a_thread_and_vectors_and_backbones_are_not(tmp_path, monkeypatch):
    cached = CacheSource(write(tmp_path))
    assert reads_ahead(cached)
    assert not reads_ahead(CacheSource(Cache.open(tmp_path), needs=Needs(maps=False, cls=True)))
    assert not reads_ahead(FramedSource(FakeBackbone(), FakeSplit(), Canvas(64), Needs()))
    monkeypatch.setenv("ARGUS_DEBUG", "1")
    assert not reads_ahead(cached)
