"""A real S3 server: caches and runs are what they are on a disk, with throttling, cut connections and kills too."""

from __future__ import annotations

import os
import time
from datetime import timedelta

import fsspec
import pytest

from arena_help import settings, train_run
from argus_arena.requests import CacheRequest
from argus_arena.tools.cache import build_cache
from argus_core.cache import verify, write_cache
from argus_core.common import address, stores
from argus_core.common.files import create_exclusive, write_text
from argus_core.common.part import Part
from argus_core.common.places import place
from argus_core.common.tensors import tensors_sha256
from argus_core.errors import ArgusError
from argus_core.plugins.data_spec import open_data
from argus_core.saving.checkpoint import read_tensors
from cache_fakes import SPEC, FakeBackbone, FakeSplit
from docs_world import coco

pytest.importorskip("s3fs", reason="needs the extra s3")
pytest.importorskip("moto.server", reason="needs moto[s3], flask and flask-cors")
from s3_help import Faults, bucket, environment, faulty_proxy, s3_server

KILLED = (".staged", "index.safetensors", "log.jsonl", "state.safetensors", "result.json")
"""Endings of the objects in the middle of whose first write a process is killed, in their order."""
SPLITS = ("train", "val")


@pytest.fixture(scope="module")
def server():
    with s3_server() as port:
        bucket(port, "bucket")
        yield port


@pytest.fixture
def use(server, tmp_path, monkeypatch):
    """``use(port)``: clients in this process and in those that it starts go there from now on."""

    def go(port):
        for name, value in environment(port).items():
            monkeypatch.setenv(name, value)
        fsspec.get_filesystem_class("s3").clear_instance_cache()

    monkeypatch.setenv("ARGUS_CACHE_DIR", str(tmp_path / "kept"))
    go(server)
    return go


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """A data set, its cache and a run on a disk."""
    root = tmp_path_factory.mktemp("disk")
    coco(root / "set", open_data("scenes:images=6,val=2,size=64x96"), "RBC")
    work(str(root / "set"), str(root))
    return root


@pytest.fixture
def remote(use, local, request):
    """An address of its own for each test, with the data set."""
    address = place("s3://bucket") / request.node.name
    fsspec.filesystem("s3").put(f"{local / 'set'}/", f"bucket/{request.node.name}/set/", recursive=True)
    return address


def work(data, out):
    """Cache and train below ``out``."""
    more = {"backbone": "tiny", "canvas": "64", "views": ("id", "hflip"), "splits": SPLITS, "batch": 2}
    build_cache(CacheRequest(data=f"coco:{data}", out=f"{out}/tokens", **more))
    given = {"heads": ("detect.fcos",), "data": f"coco:{data}", "cache": f"{out}/tokens", "save_every": 1}
    train_run(given, settings("fcos", epochs=2), place(f"{out}/run"))


def outcome(out):
    """The bytes of all shards, the digests of all weights, and the log."""
    shards = [file.read_bytes() for file in sorted((out / "tokens").glob("*/shards/*.safetensors"))]
    weights = [tensors_sha256(read_tensors(file)[1]) for file in sorted((out / "run").glob("*/*.safetensors"))]
    assert not [fault for split in SPLITS for fault in verify(out / "tokens" / split)]
    return shards, weights, (out / "run" / "log.jsonl").read_text()


def test_a_cache_and_a_run_on_a_server(remote, local):
    work(f"{remote}/set", str(remote))
    assert outcome(remote) == outcome(local)


def test_of_several_writers_one_creates_an_object(remote):
    assert create_exclusive(remote / "x", b"first")
    assert not create_exclusive(remote / "x", b"second")
    assert (remote / "x").read_bytes() == b"first"


def test_a_refused_object_may_be_gone_when_it_is_read(remote, monkeypatch):
    create_exclusive(remote / "x", b"first")
    read = type(remote).content

    def removed_first(self):
        self.unlink()
        return read(self)

    monkeypatch.setattr(type(remote), "content", removed_first)
    assert not create_exclusive(remote / "x", b"second")


def test_parts_of_killed_uploads_are_cleared(remote, tmp_path, monkeypatch):
    store, key = fsspec.filesystem("s3"), (remote / "x").key
    bucket, _, name = key.partition("/")
    for other in (name, f"{name}-other"):
        store.call_s3("create_multipart_upload", Bucket=bucket, Key=other)
    monkeypatch.setattr(address, "LARGE", 1)
    with monkeypatch.context() as patch:
        patch.setattr(stores, "UNFINISHED", timedelta(days=36500))  # moto's were all begun in 2010
        write_text(remote / "x", "young ones stay")
    assert len(store.list_multipart_uploads(bucket)) == 2
    write_text(remote / "x", "old ones go")
    assert [upload["Key"] for upload in store.list_multipart_uploads(bucket)] == [f"{name}-other"]


def test_what_is_wrong_is_said(use, remote, monkeypatch, capsys):
    monkeypatch.setattr(stores, "WAITS", (0.01,))
    with pytest.raises(ArgusError, match="there is no s3://nowhere; create it"):
        write_text(place("s3://nowhere/x"), "")
    with pytest.raises(ArgusError, match="s3://nowhere/set: no such folder"):
        open_data("coco:s3://nowhere/set")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    use(1)  # where nothing listens
    with pytest.raises(ArgusError, match=r"s3://bucket/x: the store refuses.*AWS_ENDPOINT_URL"):
        place("s3://bucket/x").exists()
    assert capsys.readouterr().err.count("trying again") == 1
    monkeypatch.setenv("ARGUS_OFFLINE", "1")
    with pytest.raises(ArgusError, match="ARGUS_OFFLINE forbids it"):
        place("s3://bucket/x").exists()


@pytest.mark.slow
def test_throttling_and_cut_connections(use, server, remote, local):
    faults = Faults(slow=0.05, cut=0.05)
    with faulty_proxy(server, faults) as port:
        use(port)
        work(f"{remote}/set", str(remote))
    use(server)
    assert faults.slowed > 3 and faults.cuts > 3
    assert outcome(remote) == outcome(local)


def elsewhere(variables, function, *arguments):
    """Call a function in another process, which has the environment of when its server was started."""
    os.environ.update(variables)
    function(*arguments)


def write_part(out, number):
    write_cache(out, FakeBackbone(), FakeSplit(12), SPEC, batch=1, shard_bytes=1, part=Part(number, 3))


@pytest.mark.slow
def test_three_writers_of_whom_one_is_killed(remote, tmp_path, forked):
    arguments = [({**os.environ}, write_part, str(remote / "tokens"), number) for number in (1, 2, 3)]
    workers = [forked.Process(target=elsewhere, args=each) for each in arguments]
    for worker in workers:
        worker.start()
    while not list((remote / "tokens" / "shards").glob("*.json")):
        time.sleep(0.05)
    workers[0].kill()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [-9, 0, 0]
    write_part(tmp_path / "tokens", 1)
    assert not verify(remote / "tokens")
    names = sorted(file.relative_to(tmp_path).as_posix() for file in tmp_path.glob("tokens/**/*.*"))
    assert sorted(file.relative_to(remote).as_posix() for file in remote.glob("tokens/**/*.*")) == names
    assert all((remote / name).read_bytes() == (tmp_path / name).read_bytes() for name in names)


@pytest.mark.slow
def test_killed_in_the_middle_of_a_write(use, server, remote, local, forked, monkeypatch):
    faults, killed = Faults(), []

    def kill(path):
        """Kill the process at its first write of each kind of object."""
        kind = next((end for end in KILLED if path.partition("?")[0].endswith(end)), None)
        if kind is None or kind in killed:
            return False
        killed.append(kind)
        os.kill(process.pid, 9)
        return True

    faults.half_written = kill
    with faulty_proxy(server, faults) as port:
        use(port)
        for _ in range(len(KILLED) + 1):
            process = forked.Process(target=elsewhere, args=({**os.environ}, work, f"{remote}/set", str(remote)))
            process.start()
            process.join()
            if process.exitcode == 0:
                break
    use(server)
    assert killed == list(KILLED) and process.exitcode == 0
    assert outcome(remote) == outcome(local)
