"""What is kept of remote files stays within its bound, is checked, and is shared by processes."""

from __future__ import annotations

import random
import subprocess
import sys

import pytest

from argus_core.common.range_cache import RangeCache, range_cache
from argus_core.errors import ArgusError


def content(seed: int, size: int = 1000) -> bytes:
    return random.Random(seed).randbytes(size)


def held(folder) -> int:
    return sum(file.stat().st_size for file in folder.iterdir())


def test_what_was_kept_comes_back_until_it_is_the_oldest(tmp_path):
    cache = RangeCache(tmp_path / "kept", bound=100_000)
    for number in range(300):
        cache.put(f"key {number}", content(number))
        assert cache.get("key 0") == content(0)  # used all the time
        assert held(cache.folder) <= 100_000 * 33 // 32 + 1032
    assert cache.get("key 299") == content(299)
    assert cache.get("key 1") is None and cache.get("never kept") is None


@pytest.mark.parametrize("damage", [b"", b"x" * 20, None])
def test_damage_counts_as_missing(damage, tmp_path):
    cache = RangeCache(tmp_path, bound=100_000)
    cache.put("key", content(1))
    (file,) = tmp_path.iterdir()
    raw = file.read_bytes()
    file.write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]) if damage is None else damage)
    assert cache.get("key") is None
    cache.put("key", content(1))
    assert cache.get("key") == content(1)


def test_what_earlier_processes_left_counts_too(tmp_path):
    for number in range(50):
        RangeCache(tmp_path, bound=10_000_000).put(f"key {number}", content(number))
    (tmp_path / "tmpkilled").write_bytes(b"half of a file")
    small = RangeCache(tmp_path, bound=20_000)
    small.put("new", content(99))
    assert small.get("new") == content(99) and held(tmp_path) <= 20_000 * 33 // 32


def test_too_large_nothing_at_all_and_no_disk(tmp_path):
    cache = RangeCache(tmp_path / "a", bound=4000)
    cache.put("large", content(1, 1001))
    assert cache.get("large") is None
    nothing = RangeCache(tmp_path / "b", bound=0)
    nothing.put("key", b"x")
    assert nothing.get("key") is None
    (tmp_path / "file").touch()
    nowhere = RangeCache(tmp_path / "file", bound=4000)
    nowhere.put("key", b"x")
    assert nowhere.get("key") is None


FILL = """
import random, sys
from pathlib import Path
from argus_core.common.range_cache import RangeCache
cache, rng = RangeCache(Path(sys.argv[1]), bound=50_000), random.Random(sys.argv[2])
for _ in range(300):
    number = rng.randrange(100)
    content, kept = random.Random(number).randbytes(1000), cache.get(f"key {number}")
    assert kept in (None, content)
    if kept is None:
        cache.put(f"key {number}", content)
"""


def test_processes_share_a_folder(tmp_path):
    command = [sys.executable, "-c", FILL, str(tmp_path)]
    workers = [subprocess.Popen([*command, str(seed)]) for seed in range(3)]
    assert [worker.wait() for worker in workers] == [0, 0, 0]
    assert held(tmp_path) <= 50_000 * 35 // 32 + 4 * 1032


def test_the_environment_says_how_much_and_where(tmp_path, monkeypatch):
    monkeypatch.setenv("ARGUS_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("ARGUS_CACHE_BYTES", "12345")
    assert (range_cache().folder, range_cache().bound) == (tmp_path, 12345)
    assert range_cache() is range_cache()
    monkeypatch.setenv("ARGUS_CACHE_BYTES", "8 GB")
    with pytest.raises(ArgusError, match="ARGUS_CACHE_BYTES=8 GB is no number of bytes"):
        range_cache()
