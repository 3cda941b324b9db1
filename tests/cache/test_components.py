"""Caches of principal components: what they keep, and that all writers, splits and resumed runs use the same ones."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from fsspec.implementations.memory import MemoryFileSystem

from argus_core.cache import Cache, CacheSource, info, verify, write_cache
from argus_core.cache import fit as fitting
from argus_core.cache.basis import bases_path
from argus_core.cache.manifest import is_begun
from argus_core.common.files import json_sha256
from argus_core.common.places import place
from argus_core.errors import ArgusError
from cache_fakes import LAYERS, SPEC, FakeBackbone, FakeSplit

TESTS = Path(__file__).parents[1]
PCA = replace(SPEC, dtype="pca-5")
ALL = [(index, view) for index in range(11) for view in ("id", "hflip")]


def write(path, split=None, spec=PCA, backbone=None, **options):
    options = {"batch": 2, "shard_bytes": 4_000, **options}
    write_cache(path, backbone or FakeBackbone(), split or FakeSplit(), spec, **options)
    return Cache.open(path)


def tree(path):
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def rows_of(cache, name, items=ALL):
    """The (N, C) rows of an exact cache that hold image."""
    kind, layer = name.split(".")
    tokens = CacheSource(cache).read(items).tokens
    if kind == "prefix":
        return tokens.prefix[int(layer)][:, 0].double().numpy()
    cells = tokens.maps[int(layer)].permute(0, 2, 3, 1)
    return cells[cells.abs().sum(-1) > 0].double().numpy()


@pytest.fixture(scope="module")
def exact(tmp_path_factory):
    return write(tmp_path_factory.mktemp("exact") / "c", spec=replace(SPEC, dtype="fp32"))


@pytest.fixture(scope="module")
def cached(tmp_path_factory):
    """A cache of components, not to be changed."""
    return write(tmp_path_factory.mktemp("pca") / "c")


NAMES = [f"{kind}.{layer}" for layer in LAYERS for kind in ("maps", "prefix")]


@pytest.mark.parametrize("name", NAMES)
def test_components_are_those_of_a_singular_value_decomposition_of_the_sample(cached, exact, name):
    rows = rows_of(exact, name, [(index, "id") for index in range(11)])
    if len(rows) > 11 * fitting.SAMPLE_ROWS:
        pytest.fail("the sample of this test is meant to be every row")
    basis, mean = cached.bases()[name], rows.mean(0)
    _, values, vectors = np.linalg.svd(rows - mean, full_matrices=False)
    assert np.allclose(basis.mean.numpy(), mean, atol=1e-6)
    wanted = vectors[:5] * np.sign(np.take_along_axis(vectors[:5], abs(vectors[:5]).argmax(1)[:, None], 1))
    assert (np.diff(values[:6]) < -1e-3 * values[0]).all()  # else directions would not be determined
    assert np.allclose(basis.components.numpy(), wanted, atol=2e-5)
    for dtype in (torch.float64, torch.float32):
        square = basis.components.to(dtype) @ basis.components.to(dtype).T
        assert torch.allclose(square, torch.eye(5, dtype=dtype), atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_read_is_the_projection_up_to_rounding(cached, exact, name):
    true, mean = rows_of(exact, name), cached.bases()[name].mean.double().numpy()
    components = cached.bases()[name].components.double().numpy()
    projected = (true - mean) @ components.T @ components + mean
    got = rows_of(cached, name)
    largest = abs((true - mean) @ components.T).max()
    assert abs(got - projected).max() <= largest * 2**-11 * 5**0.5 + 1e-5


def test_as_many_components_as_channels_lose_rounding_alone(tmp_path, exact):
    cache = write(tmp_path, spec=replace(SPEC, dtype="pca-20"))
    for name in NAMES:
        true, got = rows_of(exact, name), rows_of(cache, name)
        assert true.shape == got.shape  # layer 1 has 12 channels, and keeps 12 components
        norms = np.linalg.norm(true - true.mean(0), axis=1, keepdims=True)
        assert (abs(got - true) <= norms * 2**-10 + 1e-5).all()


def test_more_components_keep_more_and_int8_coefficients_hardly_less(tmp_path, exact):
    def lost(dtype):
        got, true = (
            rows_of(write(tmp_path / dtype, spec=replace(SPEC, dtype=dtype)), "maps.3"),
            rows_of(exact, "maps.3"),
        )
        return ((got - true) ** 2).sum() / ((true - true.mean(0)) ** 2).sum()

    shares = [lost(f"pca-{count}") for count in (1, 4, 12, 20)]
    assert shares == sorted(shares, reverse=True) and shares[0] > 0.3 and shares[-1] < 1e-6
    assert shares[1] < lost("pca-4-int8") < shares[1] * 1.01


def test_the_manifest_names_the_file_and_every_record_follows_from_it(cached):
    described = info(cached.path)
    sha256 = described["basis"]["sha256"]
    assert described["basis"]["split"] == "fake" and described["dtype"] == "pca-5"
    assert bases_path(cached.path, sha256).is_file() and verify(cached.path) == []
    record = json.loads((cached.path / "shards/00000.json").read_bytes())
    assert record["cache"] == cached.manifest.id != replace(cached.manifest, basis=None).id


def test_caches_without_components_are_as_they_always_were(exact):
    manifest, values = exact.manifest, json.loads((exact.path / "manifest.json").read_bytes())
    assert "basis" not in values and "basis" not in info(exact.path) and exact.bases() == {}
    assert manifest.id == json_sha256([manifest.fingerprint, manifest.layout, manifest.norm])


def test_other_components_make_another_cache(cached, tmp_path, monkeypatch):
    monkeypatch.setattr(fitting, "SAMPLE_IMAGES", 3)
    other = write(tmp_path)
    assert other.manifest.basis["sha256"] != cached.manifest.basis["sha256"]
    assert other.id != cached.id and other.manifest.fingerprint == cached.manifest.fingerprint


@pytest.mark.parametrize("damage", ["missing", "damaged"])
def test_a_file_that_is_gone_or_changed_is_told_and_comes_back_as_it_was(tmp_path, damage):
    cache = write(tmp_path)
    before, file = tree(tmp_path), bases_path(tmp_path, cache.manifest.basis["sha256"])
    if damage == "missing":
        file.unlink()
    else:
        content = bytearray(file.read_bytes())
        content[-1] ^= 1
        file.write_bytes(content)
    assert len(verify(tmp_path)) == 1 and f"{file}: {damage}" in verify(tmp_path)[0]
    with pytest.raises(ArgusError, match=rf"{file.name}: {damage}.*delete it and run the same caching again"):
        CacheSource(Cache.open(tmp_path))
    if damage == "damaged":
        with pytest.raises(ArgusError, match=f"{file.name}: damaged"):
            write(tmp_path)
        file.unlink()
    write(tmp_path)
    assert tree(tmp_path) == before


def test_components_that_cannot_be_fitted_again_are_refused(tmp_path, monkeypatch):
    cache = write(tmp_path)
    bases_path(tmp_path, cache.manifest.basis["sha256"]).unlink()
    monkeypatch.setattr(fitting, "SAMPLE_IMAGES", 3)
    with pytest.raises(ArgusError, match=r"is missing, and fitted again the components differ.*backup"):
        write(tmp_path)


def test_unreadable_images_stop_the_fit_or_are_left_out(tmp_path):
    split = FakeSplit(bad=[0, 8])
    with pytest.raises(ArgusError, match=r"image-000\.jpg: truncated"):
        write(tmp_path / "a", split)
    cache = write(tmp_path / "b", split, skip_bad=True)
    assert sorted(cache.skipped) == [0, 8] and len(CacheSource(cache).read([(3, "id")]).tokens) == 1
    with pytest.raises(ArgusError, match="none of the images that the components would be fitted on can be read"):
        write(tmp_path / "c", FakeSplit(3, bad=[0, 1, 2]), skip_bad=True)


def test_tokens_that_are_not_finite_stop_the_fit_by_name(tmp_path):
    class Broken(FakeBackbone):
        def encode(self, canvases, extent, needs, tiles=None):
            tokens = super().encode(canvases, extent, needs)
            tokens.maps[3][0, 1, 0, 0] = torch.nan
            return tokens

    with pytest.raises(ArgusError, match="NaN or infinity for an image of 'image-000' to 'image-001' at layer 3"):
        write(tmp_path, backbone=Broken())


def test_a_folder_of_something_else_is_not_begun(tmp_path):
    assert is_begun(tmp_path)
    (tmp_path / "shards").mkdir()
    (tmp_path / "shards/00009.0.claim").touch()
    assert is_begun(tmp_path)
    (tmp_path / "shards/mine.txt").touch()
    assert not is_begun(tmp_path)
    with pytest.raises(ArgusError, match="is not empty and holds no cache"):
        write(tmp_path)


def test_a_cache_in_a_store_is_that_of_a_disk(cached, tmp_path, monkeypatch):
    monkeypatch.setenv("ARGUS_CACHE_DIR", str(tmp_path))
    MemoryFileSystem.store.clear()
    there = write(place("memory://bucket/c"))
    other = write(place("memory://bucket/val"), FakeSplit(4), share=[there.path])
    assert there.manifest == cached.manifest and other.manifest.basis == cached.manifest.basis
    here, stored = (CacheSource(cache).read(ALL).tokens for cache in (cached, there))
    assert all(torch.equal(here.maps[layer], stored.maps[layer]) for layer in LAYERS)
    assert verify(there.path) == []
