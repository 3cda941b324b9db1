"""Addresses are used as paths are, and requests are tried again while that can help."""

from __future__ import annotations

import errno
import json
import pickle
from pathlib import Path

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from argus_core.common import ranges, stores
from argus_core.common.files import create_exclusive, file_sha256, move, read_json, write_atomic, write_json, write_text
from argus_core.common.places import Address, as_local, place, snapshot, stamp_of
from argus_core.common.ranges import Range, read_ranges
from argus_core.errors import ArgusError

FILES = {"a.json": "{}", "sub/b.txt": "b", "sub/deep/c.txt": "cc", "sub/é d.txt": ""}


@pytest.fixture(params=["disk", "store", "listed"])
def root(request, tmp_path, monkeypatch):
    """A folder with ``FILES``: on a disk, in a store, and in a store as it was listed."""
    monkeypatch.setenv("ARGUS_CACHE_DIR", str(tmp_path / "kept"))
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]
    folder = tmp_path / "root" if request.param == "disk" else place("memory://bucket/a root")
    for name, text in FILES.items():
        write_text(folder / name, text)
    return snapshot(folder) if request.param == "listed" else folder


def names(root, paths):
    return sorted(path.relative_to(root).as_posix() for path in paths)


def test_what_paths_can_do(root):
    assert root.exists() and root.is_dir() and not root.is_file()
    assert (root / "sub" / "b.txt").is_file() and not (root / "sub" / "b.txt").is_dir()
    assert not (root / "nothing").exists() and not (root / "nothing").is_dir()
    assert names(root, root.iterdir()) == ["a.json", "sub"]
    assert names(root, root.glob("*.json")) == ["a.json"]
    assert names(root, root.glob("*/*.txt")) == ["sub/b.txt", "sub/é d.txt"]
    assert names(root, root.glob("sub/*/c.txt")) == ["sub/deep/c.txt"]
    assert names(root, root.glob("nothing/*.txt")) == []
    assert names(root, root.rglob("*.txt")) == ["sub/b.txt", "sub/deep/c.txt", "sub/é d.txt"]
    file = root / "sub" / "deep" / "c.txt"
    assert (file.name, file.suffix, file.stem, file.parent.name) == ("c.txt", ".txt", "c", "deep")
    assert file.read_text() == "cc" and file.read_bytes() == b"cc" and file.stat().st_size == 2
    assert (root / "sub" / "é d.txt").read_bytes() == b""
    with file.open("rb") as stream:
        stream.seek(1)
        assert stream.read() == b"c"
    with pytest.raises(FileNotFoundError):
        (root / "nothing").read_bytes()
    assert stamp_of(file) == stamp_of(file) != stamp_of(root / "a.json")
    assert file_sha256(file) == file_sha256(pickle.loads(pickle.dumps(file)))
    with as_local(file) as local:
        assert local.read_text() == "cc"
    assert not isinstance(file, Address) or not local.exists()


def test_writing(root):
    write_json(root / "new" / "x.json", [1])
    fresh = snapshot(place(str(root)))
    assert read_json(fresh / "new" / "x.json", "") == [1]
    move(fresh / "new" / "x.json", fresh / "y.json")
    move(fresh / "new" / "x.json", fresh / "y.json")  # as after a kill in between
    there = place(str(root)) if isinstance(root, Address) else root
    assert json.loads((there / "y.json").read_text()) == [1] and not (there / "new" / "x.json").exists()
    assert create_exclusive(there / "z", b"first") and not create_exclusive(there / "z", b"second")
    assert (there / "z").read_bytes() == b"first"
    (there / "z").unlink()
    (there / "z").unlink(missing_ok=True)
    with pytest.raises(FileNotFoundError):
        (there / "z").unlink()

    def fail(to):
        to.write_text("half")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_atomic(there / "a.json", fail)
    assert (there / "a.json").read_text() == "{}"


def test_a_listing_stays_as_it_was(root):
    if isinstance(root, Address):
        listed = snapshot(root)
        write_text(place(str(root)) / "later.txt", "x")
        assert not (listed / "later.txt").exists() and (place(str(root)) / "later.txt").exists()
        assert (snapshot(root) / "later.txt").exists()
        assert (listed / "sub" / ".." / "a.json").read_text() == "{}"


def test_what_is_an_address(tmp_path):
    assert place("s3://b/x") == place(Path("s3://b/x")) == place(place("s3://b/x"))
    assert str(place("S3:/b/x/")) == "s3://b/x" and repr(place("gs://b")) == "Address('gs://b')"
    assert place("file:///a/b") == Path("/a/b")
    with pytest.raises(ArgusError, match="s3:// names no bucket"):
        place("s3://")
    for path in ("C:/x", "a/s3:/b", "./s3", str(tmp_path), "a:b"):
        assert not isinstance(place(path), Address)


def failing(*errors):
    """A request that raises these errors, one a time, and then gives 7."""
    left = list(errors)

    def request():
        if left:
            raise left.pop(0)
        return 7

    return request


class OtherError(Exception):
    """An error of a library."""


class NoCredentialsError(Exception):
    """As botocore has one."""


class ForbiddenError(Exception):
    """As aiohttp has one."""

    status = 403


def test_requests_are_tried_again(monkeypatch, capsys):
    waits = []
    monkeypatch.setattr(stores.time, "sleep", waits.append)
    assert stores.patiently("s3://b/x", failing(OSError(errno.EBUSY, "SlowDown"), OtherError("cut"))) == 7
    told = capsys.readouterr().err
    assert "s3://b/x" in told and "SlowDown" in told and told.count("trying again") == 2
    assert len(waits) == 2 and waits[0] < waits[1] <= 2
    with pytest.raises(ArgusError, match=r"s3://b/x.*cut.*AWS_ENDPOINT_URL"):
        stores.patiently("s3://b/x", failing(*[OtherError("cut")] * 20))
    assert len(waits) == 2 + len(stores.WAITS)


@pytest.mark.parametrize(
    "error", [PermissionError(13, "denied"), NoCredentialsError("none"), OSError(22, "bad name"), ForbiddenError("no")]
)
def test_what_waiting_does_not_mend(error):
    with pytest.raises(ArgusError, match=r"gs://b/x.*check the network, and the credentials"):
        stores.patiently("gs://b/x", failing(error))


@pytest.mark.parametrize("error", [FileNotFoundError("x"), FileExistsError("x"), ArgusError("x")])
def test_answers_are_no_errors(error):
    with pytest.raises(type(error), match="x"):
        stores.patiently("gs://b/x", failing(error))


def test_only_missing_parts_are_asked_for_again(monkeypatch, tmp_path):
    monkeypatch.setenv("ARGUS_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(stores.time, "sleep", lambda seconds: None)
    write_text(place("memory://bucket/x"), "0123456789")
    store, asked = stores.file_system("memory"), []
    whole = type(store).cat_ranges

    def flaky(self, paths, starts, ends, **more):
        asked.append(list(zip(starts, ends, strict=True)))
        answers = whole(self, paths, starts, ends, **more)
        return [answers[0], *[OSError("cut") for _ in answers[1:2]], *[a[:-1] for a in answers[2:]]]

    monkeypatch.setattr(type(store), "cat_ranges", flaky)
    wanted = [Range("memory://bucket/x", "v", start, start + 2) for start in (0, 4, 8, 4)]
    assert read_ranges(wanted) == [b"01", b"45", b"89", b"45"]
    assert asked == [[(0, 2), (4, 6), (8, 10)], [(4, 6), (8, 10)], [(8, 10)]]
    assert ranges.read_ranges(wanted) == [b"01", b"45", b"89", b"45"] and len(asked) == 3
