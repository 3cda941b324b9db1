"""Several processes write one cache: killed, asleep, with wrong clocks or a full disk, it ends as if one had."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from argus_core.cache import Cache, info, sidecar, verify, write_cache
from argus_core.cache import claims as claiming
from argus_core.cache.claims import Claims, claim_path
from argus_core.cache.manifest import Manifest
from argus_core.cache.seal import seal
from argus_core.cache.sidecar import commit, shard_path, staged_path
from argus_core.cache.survey import Survey, tidy
from argus_core.common import files
from argus_core.common.part import Part
from argus_core.common.writers import this_writer
from argus_core.errors import ArgusError
from cache_fakes import SPEC, FakeBackbone, FakeSplit

TESTS = Path(__file__).parents[1]
SMALL = {"batch": 2, "shard_bytes": 20_000}
STRANGER = "00000000-1-abcdef"
"""A writer of another machine, of which nobody here can tell whether it has ended."""

# Forks, so that the price of importing torch is paid once for all processes.
WRITERS = """
import json, os, random, signal, sys, time
from pathlib import Path
from cache_fakes import SPEC, FakeBackbone, FakeSplit
from argus_core.cache import claims, write_cache
from argus_core.common.part import Part

def start(path, part=1, of=1, alone=False, seconds=0.5, slow=0.0):
    if (pid := os.fork()) == 0:
        if alone:  # as on another machine: whether a process has ended, only its silence tells
            claims.is_gone = lambda writer: False
        class Slow(FakeSplit):
            def read(self, index):
                time.sleep(slow)
                return super().read(index)
        options = {"batch": 2, "shard_bytes": 20_000, "part": Part(part, of), "claim_seconds": seconds}
        write_cache(path, FakeBackbone(), Slow(48), SPEC, **options)
        os._exit(0)
    return pid

def wait(pid):
    assert (status := os.waitpid(pid, 0)[1]) == 0, status

root = Path(sys.argv[1])
wait(start(root / "whole"))
"""

KILLS = """
kills, moments, found = int(sys.argv[2]), random.Random(int(sys.argv[3])), []
while sum(found) < kills:
    path, alone = root / str(len(found)), len(found) % 2 == 1
    running = {part: start(path, part, 4, alone, slow=0.002) for part in (1, 2, 3, 4)}
    found.append(0)
    while running:
        time.sleep(moments.uniform(0, 0.06))
        for part, pid in list(running.items()):
            if os.waitpid(pid, os.WNOHANG)[0]:
                del running[part]
        if running and sum(found) < kills:
            part = moments.choice(list(running))
            os.kill(running[part], signal.SIGKILL)
            killed = os.WIFSIGNALED(os.waitpid(running[part], 0)[1])
            found[-1] += killed
            running[part] = start(path, part, 4, alone, slow=0.002)
print(json.dumps(found))
"""

SLEEP = """
path = root / "slept"
sleeper = start(path, 1, 2, seconds=0.4, slow=0.02)
while not list(path.glob("shards/*.claim")):
    time.sleep(0.01)
os.kill(sleeper, signal.SIGSTOP)
before = len(list(path.glob("shards/*.json")))
wait(start(path, 2, 2, seconds=0.4))
taken = {file.name: file.read_bytes() for file in path.rglob("*.*") if file.is_file()}
os.kill(sleeper, signal.SIGCONT)
wait(sleeper)
after = {file.name: file.read_bytes() for file in path.rglob("*.*") if file.is_file()}
print(json.dumps([before, taken == after]))
"""


def tree(path):
    found = (file for file in path.rglob("*") if file.is_file())
    return {str(f.relative_to(path)): hashlib.sha256(f.read_bytes()).hexdigest() for f in found}


def forks(code, *arguments):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(TESTS)}
    command = [sys.executable, "-c", WRITERS + code, *map(str, arguments)]
    out = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert out.returncode == 0, out.stderr
    return json.loads(out.stdout)


@pytest.mark.parametrize("kills", [6, pytest.param(20, marks=pytest.mark.slow)])
def test_four_writers_that_are_killed_and_restarted_end_with_the_bytes_of_one(tmp_path, kills):
    found, whole = forks(KILLS, tmp_path, kills, 11), tree(tmp_path / "whole")
    assert sum(found) >= kills and {"index.json", "index.safetensors"} <= whole.keys() and len(whole) > 20
    for number in range(len(found)):
        assert tree(tmp_path / str(number)) == whole, (number, found)


def test_a_writer_that_sleeps_and_wakes_changes_nothing(tmp_path):
    before, unchanged = forks(SLEEP, tmp_path)
    whole = tree(tmp_path / "whole")
    assert unchanged and before < len([name for name in whole if name.endswith(".json")]) - 2
    assert tree(tmp_path / "slept") == whole


def write(path, count=8, **options):
    write_cache(path, FakeBackbone(), FakeSplit(count), SPEC, **{**SMALL, **options})
    return path


def begun(path, *, writer=STRANGER, seconds=0.3, number=0):
    """A cache of which another process has claimed a shard, and is silent."""
    (path / "shards").mkdir(parents=True)
    file = claim_path(path / "shards", number, 0)
    file.write_text(json.dumps({"writer": writer, "host": "elsewhere", "pid": 1, "seconds": seconds, "beat": 3}))
    return file


def with_manifest(path, whole):
    (path / "manifest.json").write_bytes((whole / "manifest.json").read_bytes())


def test_what_a_silent_writer_claimed_is_done_by_whoever_is_left(tmp_path):
    whole = write(tmp_path / "whole")
    begun(tmp_path / "left")
    with_manifest(tmp_path / "left", whole)
    notes = []
    began = time.monotonic()
    write(tmp_path / "left", part=Part(2, 3), note=notes.append, claim_seconds=1)
    assert time.monotonic() - began >= 0.3 and tree(tmp_path / "left") == tree(whole)
    assert "part 2 of 3: 0 of 1 shards, all parts: 0 of 2" in notes
    assert "waiting for 1 shard of other processes" in notes


def test_what_a_process_of_this_machine_claimed_that_has_ended_is_free_at_once(tmp_path):
    whole = write(tmp_path / "whole")
    machine, _, _ = this_writer().split("-")
    begun(tmp_path / "left", writer=f"{machine}-999999999-abcdef", seconds=1e6)
    with_manifest(tmp_path / "left", whole)
    write(tmp_path / "left")
    assert tree(tmp_path / "left") == tree(whole)


def test_of_many_that_wait_for_a_silent_claim_one_takes_it(tmp_path, monkeypatch):
    begun(tmp_path)
    clock = [0.0]
    monkeypatch.setattr(claiming.time, "monotonic", lambda: clock[0])
    for round_ in range(20):
        generation = Survey.of(tmp_path).claims[0]
        waiting, taken = [Claims(tmp_path / "shards", 0.3) for _ in range(8)], []
        for one in waiting:
            assert not one.take(0, generation)
        clock[0] += 1
        gate = threading.Barrier(len(waiting))

        def take(one, gate=gate, generation=generation, taken=taken):
            gate.wait()
            if one.take(0, generation):
                taken.append(one)

        threads = [threading.Thread(target=take, args=(one,)) for one in waiting]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(taken) == 1, round_
    assert Survey.of(tmp_path).claims == {0: 20}
    taken[0].release(0)
    assert not list((tmp_path / "shards").iterdir())


def test_no_clock_but_the_own_steady_one_decides(tmp_path, monkeypatch):
    file, clock = begun(tmp_path, seconds=120), [50.0]
    monkeypatch.setattr(claiming.time, "monotonic", lambda: clock[0])
    claims = Claims(tmp_path / "shards")
    for moment, wrong, expected in ((0, 1e12, False), (119, -1e12, False), (121, 0, True)):
        monkeypatch.setattr(time, "time", lambda wrong=wrong: wrong)
        os.utime(file, (4e9 - wrong % 7, 4e9 - wrong % 7))  # a modification time in the year 2096
        clock[0] = 50.0 + moment
        assert claims.take(0, 0) is expected, moment


def test_a_claim_that_is_renewed_stays(tmp_path, monkeypatch):
    file, clock = begun(tmp_path, seconds=10), [0.0]
    monkeypatch.setattr(claiming.time, "monotonic", lambda: clock[0])
    claims, values = Claims(tmp_path / "shards"), json.loads(file.read_text())
    for beat in range(5):
        file.write_text(json.dumps({**values, "beat": beat}))
        clock[0] += 9
        assert not claims.take(0, 0)
    clock[0] += 11
    assert claims.take(0, 0)


def test_claims_are_renewed_while_they_are_held_and_go_with_their_holder(tmp_path):
    shards = tmp_path / "shards"
    shards.mkdir()
    with Claims(shards, 0.08) as claims:
        assert claims.take(3, None) and not claims.take(3, 0) and claims.take(4, None)
        file = claim_path(shards, 3, 0)
        first = file.read_bytes()
        deadline = time.monotonic() + 20
        while file.read_bytes() == first and time.monotonic() < deadline:
            time.sleep(0.01)
        assert json.loads(file.read_bytes())["beat"] > json.loads(first)["beat"]
        claims.release(4)
        file.unlink()  # as if another process had taken the shard over, and were done
        time.sleep(0.1)
        assert not file.exists()
    assert not list(shards.iterdir())


CONTENTS = (b"of one kind of device", b"of another")


def write_shard(path, content, device, manifest):
    commit(path, 0, lambda to: to.write_bytes(content), [], device, manifest)


def committed(path, manifest):
    """The content of shard 0, which is the one of which its sidecar tells."""
    content = shard_path(path, 0).read_bytes()
    assert hashlib.sha256(content).hexdigest() == files.read_sealed(path / "shards/00000.json")["sha256"]
    assert not list(path.glob("shards/*.staged")) and not list(path.glob("shards/.*"))
    return content


@pytest.fixture
def manifest(tmp_path):
    return Manifest.read(write(tmp_path / "whole", 2))


class Killed(Exception):
    """Stands in for a process that ends where it is raised."""


@pytest.mark.parametrize("step", ["create_exclusive", "move"])
@pytest.mark.parametrize("contents", [CONTENTS, CONTENTS[:1] * 2])
def test_two_that_write_the_same_shard_keep_what_the_first_sidecar_names(
    tmp_path, monkeypatch, manifest, step, contents
):
    path, original, inside = tmp_path / "c", getattr(sidecar, step), []

    def meanwhile(*arguments):
        if not inside:  # before this step of the first writer, the second does all of it
            inside.append(True)
            write_shard(path, contents[1], "b", manifest)
        return original(*arguments)

    monkeypatch.setattr(sidecar, step, meanwhile)
    write_shard(path, contents[0], "a", manifest)
    first = 1 if step == "create_exclusive" else 0
    assert committed(path, manifest) == contents[first]
    assert files.read_sealed(path / "shards/00000.json")["device"] == "ba"[1 - first]


@pytest.mark.parametrize("step", ["create_exclusive", "move"])
def test_a_writer_that_dies_within_a_commit_leaves_what_another_finishes(tmp_path, monkeypatch, manifest, step):
    path = tmp_path / "c"

    def killed(*_):
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(sidecar, step, killed)
        write_shard(path, CONTENTS[0], "a", manifest)
    assert staged_path(path, 0, hashlib.sha256(CONTENTS[0]).hexdigest()).read_bytes() == CONTENTS[0]
    if step == "create_exclusive":
        write_shard(path, CONTENTS[1], "b", manifest)
    tidy(path)
    assert committed(path, manifest) == CONTENTS[step == "create_exclusive"]


def test_a_shard_that_a_killed_process_was_writing_goes(tmp_path):
    path = write(tmp_path / "c")
    whole = tree(path)
    machine, _, _ = this_writer().split("-")
    for writer in (f"{machine}-999999999-abcdef", STRANGER, this_writer()):
        folder = path / f"shards/.00001.safetensors.{writer}.x_1.tmp"
        folder.mkdir()
        (folder / ".tmpAbCdEf").write_text("half")
    seal(path, {STRANGER})
    assert [file for file in path.rglob("*") if file.name == ".tmpAbCdEf"] == [folder / ".tmpAbCdEf"]
    assert whole.items() <= tree(path).items()


@pytest.mark.parametrize("flushes", range(3, 16, 2))
def test_a_full_disk_leaves_whole_files_and_no_claim(tmp_path, monkeypatch, flushes):
    original, left = files._flush, [flushes]

    def flush(path):
        left[0] -= 1
        if left[0] == 0:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        original(path)

    whole = tree(write(tmp_path / "whole"))
    with monkeypatch.context() as patch, pytest.raises(ArgusError, match="No space left on device; free space"):
        patch.setattr(files, "_flush", flush)
        write(tmp_path / "full")
    found = tree(tmp_path / "full")
    assert not [name for name in found if name.endswith((".claim", ".tmp"))]
    assert {name: found[name] for name in found if not name.endswith(".staged")}.items() <= whole.items()
    write(tmp_path / "full")
    assert tree(tmp_path / "full") == whole


def test_a_part_of_an_unfinished_cache_is_not_sealed(tmp_path):
    path = write(tmp_path / "c", 9)
    for number in (1, 2):
        (path / f"shards/0000{number}.json").unlink()
    (path / "index.json").unlink()
    begun_by_others = claim_path(path / "shards", 1, 0)
    begun_by_others.write_text("{}")
    for ask in (seal, Cache.open):
        with pytest.raises(ArgusError, match=r"unfinished, 1 of 3 shards \(not 1, 2\); 1 process may still be at work"):
            ask(path)


def test_a_cache_tells_which_kinds_of_device_wrote_it(tmp_path, monkeypatch):
    path = write(tmp_path / "c", 9)
    (kind,) = Cache.open(path).devices
    assert kind.startswith("cpu") and info(path)["devices"] == {kind: 3}
    shard_path(path, 1).unlink()
    (path / "shards/00001.json").unlink()
    monkeypatch.setattr("argus_core.cache.writer.kind_of", lambda device: "another")
    write(path, 9)
    assert info(path)["devices"] == {kind: 2, "another": 1} and Cache.open(path).devices == (kind, "another")
    assert verify(path) == []


def test_a_wrong_expiry_is_refused(tmp_path, monkeypatch):
    for text in ("soon", "0", "-3", "inf", "nan"):
        monkeypatch.setenv("ARGUS_CLAIM_SECONDS", text)
        with pytest.raises(ArgusError, match=f"ARGUS_CLAIM_SECONDS is '{text}'"):
            write(tmp_path)
