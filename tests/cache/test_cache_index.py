"""The index of a cache: what is read of it is what the sidecars say, and nothing else is read."""

from __future__ import annotations

import hashlib
import pickle
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load_file

from argus_core.cache import Cache, CacheSource, verify, write_cache
from argus_core.cache.columns import ColumnWriter, map_columns, texts_of
from argus_core.cache.index import Index, collect
from argus_core.cache.seal import seal
from argus_core.cache.sidecar import ImageRecord, Shard
from argus_core.common.files import json_sha256, read_sealed, write_sealed
from argus_core.errors import ArgusError
from cache_fakes import SPEC, FakeBackbone, FakeSplit

BAD = (0, 4, 16)


def write(path):
    write_cache(path, FakeBackbone(), FakeSplit(17, bad=BAD), SPEC, batch=2, shard_bytes=20_000, skip_bad=True)
    return path


@pytest.fixture(scope="module")
def sealed(tmp_path_factory):
    """A sealed cache of several shards, not to be changed."""
    return write(tmp_path_factory.mktemp("index") / "c")


def of_sidecars(path):
    """The records, read from the sidecars by other means."""
    images = [image for file in sorted(path.glob("shards/*.json")) for image in read_sealed(file)["images"]]
    return [
        ImageRecord(**{**image, "size": tuple(image["size"]), "extent": tuple(image["extent"])}) for image in images
    ]


def test_the_records_are_those_of_the_sidecars(sealed):
    cache, records = Cache.open(sealed), of_sidecars(sealed)
    images = cache.images
    assert images.path == sealed / "index.safetensors" and len(images) == len(records) == 17
    assert list(images) == records and [images[n] for n in range(17)] == records and images[-1] == records[-1]
    for part in (slice(None), slice(3, 9), slice(9, 3), slice(None, None, -2), slice(15, 99)):
        assert images[part] == records[part]
    with pytest.raises(IndexError):
        images[17]
    assert images.sizes.tolist() == [list(one.size) for one in records]
    assert cache.skipped == {n: records[n].skipped for n in BAD}
    assert cache.id == json_sha256([cache.manifest.fingerprint, [one.sha256 for one in records]])
    assert cache.bytes == sum(file.stat().st_size for file in sealed.glob("shards/*.safetensors"))
    assert verify(sealed) == []


def test_an_opened_cache_reads_no_sidecar_and_workers_map_the_index_anew(tmp_path, sealed):
    path = write(tmp_path / "c")
    for file in path.glob("shards/*.json"):
        file.unlink()
    source = CacheSource(Cache.open(path))
    items = [(1, "id"), (15, "hflip"), (7, "id")]
    expected = CacheSource(Cache.open(sealed)).read(items)
    content = pickle.dumps(source)
    assert len(content) < 20_000  # no column is in it
    for one in (source, pickle.loads(content)):
        tokens, placements = one.read(items)
        assert placements == expected.placements
        assert all(tokens.maps[layer].equal(expected.tokens.maps[layer]) for layer in tokens.maps)


def test_without_an_index_the_sidecars_are_read_to_the_same(tmp_path, sealed):
    path, known = write(tmp_path / "c"), Cache.open(sealed)
    (path / "index.json").unlink()
    cache = Cache.open(path)
    assert cache.images.path is None and list(cache.images) == list(known.images) and cache.id == known.id
    assert list(pickle.loads(pickle.dumps(cache.images))) == list(known.images)


def test_sidecars_of_versions_that_name_no_device_are_read(tmp_path):
    path = write(tmp_path / "c")
    for file in path.glob("shards/*.json"):
        values = read_sealed(file)
        del values["device"]
        write_sealed(file, values)
    (path / "index.json").unlink()
    assert Cache.open(path).devices == ("unknown",)


def test_a_shard_that_is_written_again_is_in_the_index_again(tmp_path, sealed):
    path = write(tmp_path / "c")
    whole = {file.name: file.read_bytes() for file in path.rglob("*.*")}
    for name in ("00002.safetensors", "00002.json"):
        (path / "shards" / name).unlink()
    write(path)
    assert {file.name: file.read_bytes() for file in path.rglob("*.*")} == whole
    (path / "shards/00001.safetensors").unlink()
    with pytest.raises(ArgusError, match=r"00001\.safetensors: holds 0 of \d+ bytes"):
        write(path)


def test_an_index_of_another_length_or_cache_is_refused(tmp_path, sealed):
    path = write(tmp_path / "c")
    file = path / "index.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ArgusError, match=r"is not the index of this cache; delete index\.json and run"):
        Cache.open(path)
    assert "index" in verify(path)[0]
    (path / "index.json").unlink()
    write(path)
    assert file.read_bytes() == (sealed / "index.safetensors").read_bytes() and verify(path) == []


def test_an_index_of_other_shards_is_found(tmp_path):
    path = write(tmp_path / "c")
    file = path / "shards/00003"
    content = file.with_suffix(".safetensors").read_bytes()[:-1] + b"\x7f"
    file.with_suffix(".safetensors").write_bytes(content)
    values = read_sealed(file.with_suffix(".json"))
    write_sealed(file.with_suffix(".json"), {**values, "sha256": hashlib.sha256(content).hexdigest()})
    (fault,) = verify(path)
    assert "index.safetensors: was written for another shard 3; run `arena cache --seal`" in fault
    seal(path)
    assert verify(path) == []


ODD = ("", "00" * 32, "0" * 63, "AB" * 32, "ab" * 32, "\0" * 33, "not hexadecimal", "ä\udcff")


def test_texts_of_any_kind_come_back(tmp_path, sealed):
    images = [ImageRecord(f"{text}/key", text, text, (2, 3), (4, 5), text and f"bad {text}") for text in ODD]
    manifest = Cache.open(sealed).manifest
    index = collect(manifest, [Shard("cd" * 32, 7, images[:3], "a"), Shard("ef" * 32, 9, images[3:], "b")])
    assert list(index) == images and index.shards_by_device == {"a": 1, "b": 1}
    assert index.shard_sha256(1) == "ef" * 32 and index.shard_bytes.tolist() == [7, 9]
    assert index.id == json_sha256([manifest.fingerprint, list(ODD)])
    assert list(replace(index, id="other")) == images and isinstance(index, Index)


def test_columns_are_a_file_that_safetensors_reads(tmp_path):
    writer = ColumnWriter({"pairs": ("i4", (2,)), "bytes": ("u1", (3,)), "wide": ("i8", ())}, ["texts"])
    writer.add("pairs", [[1, 2], [-3, 4]])
    writer.add("bytes", [[1, 2, 3]])
    for texts in ([b"one", b""], [], [b"three"]):
        writer.add_texts("texts", texts)
    writer.write(tmp_path / "c")
    kept = writer.arrays()
    writer.close()
    library, mapped = load_file(tmp_path / "c"), map_columns(tmp_path / "c")
    assert library.keys() == mapped.keys() == kept.keys()
    for name, column in library.items():
        for own in (mapped[name], kept[name]):
            assert own.dtype == column.dtype and np.array_equal(own, column), name
            assert own.flags.aligned and not own.flags.writeable
    assert texts_of(mapped, "texts", 0, 3) == [b"one", b"", b"three"] and texts_of(mapped, "texts", 1, 1) == []
