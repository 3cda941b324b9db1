"""What is kept, and what goes when there is no room."""

from __future__ import annotations

from dataclasses import dataclass

from argus_core.serve.kept import Kept


@dataclass
class Thing:
    nbytes: int


def held(kept, *keys):
    return [key for key in keys if kept.get(key) is not None]


def test_the_least_recently_used_goes_when_there_are_too_many():
    kept = Kept(count=2, nbytes=100)
    for key in "ab":
        kept.put(key, Thing(1))
    assert kept.get("a").nbytes == 1
    kept.put("c", Thing(1))
    assert held(kept, *"abc") == ["a", "c"] and len(kept) == 2 and kept.held == 2


def test_bytes_are_bounded_and_the_newest_stays_even_if_it_is_larger():
    kept = Kept(count=9, nbytes=10)
    for key, size in (("a", 4), ("b", 4), ("c", 4)):
        kept.put(key, Thing(size))
    assert held(kept, *"abc") == ["b", "c"] and kept.held == 8
    kept.put("huge", Thing(50))
    assert held(kept, "b", "c", "huge") == ["huge"] and kept.held == 50
    kept.put("d", Thing(3))
    assert held(kept, "huge", "d") == ["d"] and kept.held == 3


def test_a_key_is_counted_once():
    kept = Kept(count=3, nbytes=10)
    kept.put("a", Thing(4))
    kept.put("a", Thing(6))
    assert len(kept) == 1 and kept.held == 6 and kept.get("gone") is None
