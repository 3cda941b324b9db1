"""Killed writers and damaged files: nothing is lost, doubled or overlooked."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from argus_core.cache import Cache, CacheSource, info, verify, write_cache
from argus_core.errors import ArgusError
from cache_fakes import SPEC, FakeBackbone, FakeSplit

TESTS = Path(__file__).parents[1]

# Forks, so that the price of importing torch is paid once for all kills.
KILLER = """
import json, os, random, signal, sys, time
from pathlib import Path
from cache_fakes import SPEC, FakeBackbone, FakeSplit
from argus_core.cache import write_cache

def run(path, limit=None):
    pid = os.fork()
    if pid == 0:
        write_cache(path, FakeBackbone(), FakeSplit(24), SPEC, batch=2, shard_bytes=20_000)
        os._exit(0)
    start = time.monotonic()
    if limit is not None:
        time.sleep(limit)
        os.kill(pid, signal.SIGKILL)
    status = os.waitpid(pid, 0)[1]
    assert limit is not None or status == 0, status
    return time.monotonic() - start, os.WIFSIGNALED(status)

root, kills, moments = Path(sys.argv[1]), int(sys.argv[2]), random.Random(int(sys.argv[3]))
run(root / "warm")
length, _ = run(root / "whole")
found = []
for number in range(kills):
    path = root / str(number)
    killed = [run(path, moments.uniform(0, length))[1] for _ in range(2)]
    found.append([killed, len(list(path.glob("shards/*.json")))])
    run(path)
print(json.dumps(found))
"""


def tree(path):
    files = (file for file in path.rglob("*") if file.is_file())
    return {str(f.relative_to(path)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


@pytest.mark.parametrize("kills", [5, pytest.param(20, marks=pytest.mark.slow)])
def test_a_killed_run_goes_on_to_the_same_bytes(tmp_path, kills):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(TESTS)}
    command = [sys.executable, "-c", KILLER, str(tmp_path), str(kills), "7"]
    out = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert out.returncode == 0, out.stderr
    found, whole = json.loads(out.stdout), tree(tmp_path / "whole")
    assert len(whole) > 12 and any(any(killed) for killed, _ in found)
    for number in range(kills):
        assert tree(tmp_path / str(number)) == whole, (number, found[number])


@pytest.fixture
def written(tmp_path):
    write_cache(tmp_path / "c", FakeBackbone(), FakeSplit(5), SPEC, batch=2, shard_bytes=20_000)
    return tmp_path / "c"


def test_every_flipped_byte_is_found(written):
    assert verify(written) == []
    files, pick = sorted(f for f in written.rglob("*") if f.is_file()), random.Random(3)
    assert len(files) >= 6
    for file in files:
        good = file.read_bytes()
        positions = {0, 1, len(good) - 1, *(pick.randrange(len(good)) for _ in range(25))}
        for position in positions:
            bad = bytearray(good)
            bad[position] ^= pick.randrange(1, 256)
            file.write_bytes(bad)
            faults = verify(written)
            assert len(faults) == 1 and file.stem in faults[0], (file, position)
        file.write_bytes(good)
    assert verify(written) == []


def test_a_changed_space_in_json_is_found(written):
    file = written / "manifest.json"
    file.write_bytes(file.read_bytes().replace(b": ", b":\t", 1))
    assert "damaged" in verify(written)[0]


def test_missing_short_and_foreign_files(written, tmp_path):
    shard, record = written / "shards/00000.safetensors", written / "shards/00000.json"
    good = shard.read_bytes()
    shard.write_bytes(good[:-1])
    for positional in (False, True):
        source = CacheSource(Cache.open(written), positional=positional)  # sealed: its shards are not looked at
        with pytest.raises(ArgusError, match=r"00000\.safetensors: (cannot be read|ends too early).* delete its .json"):
            source.read([(3, "hflip")])
    (written / "index.json").unlink()
    with pytest.raises(ArgusError, match=r"00000\.safetensors: holds \d+ of \d+ bytes"):
        Cache.open(written)
    shard.write_bytes(good)
    write_cache(tmp_path / "other", FakeBackbone(seed=1), FakeSplit(5), SPEC, batch=2, shard_bytes=20_000)
    own = record.read_bytes()
    record.write_bytes((tmp_path / "other/shards/00000.json").read_bytes())
    with pytest.raises(ArgusError, match="of another cache"):
        Cache.open(written)
    record.unlink()
    with pytest.raises(ArgusError, match=r"unfinished, 1 of 2 shards \(not 0\); run"):
        Cache.open(written)
    assert info(written)["shards_done"] == 1 and "unfinished, 1 of 2 shards (not 0)" in verify(written)[0]
    write_cache(written, FakeBackbone(), FakeSplit(5), SPEC, batch=2, shard_bytes=20_000)
    assert record.read_bytes() == own and shard.read_bytes() == good


def test_a_damaged_norm_is_not_used_and_comes_back(written):
    norm = written / "norm.safetensors"
    good = norm.read_bytes()
    norm.write_bytes(good[:-1] + b"\x01")
    with pytest.raises(ArgusError, match="missing or damaged"):
        Cache.open(written).norm()
    norm.unlink()
    write_cache(written, FakeBackbone(), FakeSplit(5), SPEC, batch=2, shard_bytes=20_000)
    assert norm.read_bytes() == good


def test_what_was_finished_before_an_error_stays(tmp_path):
    options = {"batch": 2, "shard_bytes": 20_000}
    with pytest.raises(ArgusError, match="image-009"):
        write_cache(tmp_path / "a", FakeBackbone(), FakeSplit(bad=[9]), SPEC, **options)
    done = tree(tmp_path / "a")
    assert any(name.endswith(".safetensors") for name in done)
    write_cache(tmp_path / "a", FakeBackbone(), FakeSplit(bad=[9]), SPEC, skip_bad=True, **options)
    write_cache(tmp_path / "b", FakeBackbone(), FakeSplit(bad=[9]), SPEC, skip_bad=True, **options)
    assert tree(tmp_path / "a") == tree(tmp_path / "b") and done.items() <= tree(tmp_path / "a").items()
