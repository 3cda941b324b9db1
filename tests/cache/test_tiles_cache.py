"""Caches of canvases that are encoded by tiles: what live tokens are, known by their tiles, and no change without."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from argus_core import load_backbone
from argus_core.backbones import Backbone
from argus_core.backbones.live import LiveSource
from argus_core.cache import Cache, CacheSource, CacheSpec, fingerprint, verify, write_cache
from argus_core.canvas import Canvas, Tiles
from argus_core.errors import ArgusError
from argus_core.tokens import Needs, Tokens
from cache_fakes import FakeSplit

TILES = Tiles(64, overlap=0.25)
SPEC = CacheSpec(Canvas(128, 160, tiles=TILES), Needs((-1,), cls=True), ("id", "hflip"), "fp32")
PLAIN = replace(SPEC, canvas=Canvas(128, 160))


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return load_backbone("tiny")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def write(path: Path, backbone: Backbone, spec: CacheSpec = SPEC, images: int = 5) -> Cache:
    write_cache(path, backbone, FakeSplit(images), spec, batch=2)
    return Cache.open(path)


def same(a: Tokens, b: Tokens) -> bool:
    """Whether maps and CLS are equal bit for bit."""
    maps = all(torch.equal(a.maps[layer], b.maps[layer]) for layer in a.maps)
    return maps and all(torch.equal(a.prefix[layer][:, 0], b.prefix[layer][:, 0]) for layer in a.prefix)


def test_live_tokens_by_tiles_are_those_of_the_cache(tmp_path: Path, backbone: Backbone) -> None:
    cache = write(tmp_path / "cache", backbone)
    assert cache.manifest.spec.canvas == SPEC.canvas and verify(tmp_path / "cache") == []
    stored = CacheSource(cache)
    live = LiveSource(backbone, FakeSplit(5), SPEC.canvas, SPEC.needs, SPEC.views)
    plain = LiveSource(backbone, FakeSplit(5), PLAIN.canvas, PLAIN.needs, PLAIN.views)
    for images in ((0, 1), (2, 3), (4,)):  # the batches of caching
        items = [(image, view) for image in images for view in SPEC.views]
        tokens = live.read(items).tokens
        assert same(stored.read(items).tokens, tokens)
        assert not same(plain.read(items).tokens, tokens)


@pytest.mark.parametrize(("dtype", "lost"), [("int4", 0.1), ("pca-96", 1e-5), ("pca-8", 0.9)])
def test_smaller_formats_hold_the_stitched_tokens(dtype: str, lost: float, tmp_path: Path, backbone: Backbone) -> None:
    stored = CacheSource(write(tmp_path / "cache", backbone, replace(SPEC, dtype=dtype)))
    live = LiveSource(backbone, FakeSplit(5), SPEC.canvas, SPEC.needs, SPEC.views)
    items = [(image, view) for image in range(5) for view in SPEC.views]
    got, true = stored.read(items).tokens.maps, live.read(items).tokens.maps
    for layer in true:
        left = (got[layer] - true[layer]).square().sum() / (true[layer] - true[layer].mean()).square().sum()
        assert 0 < left < lost and torch.equal(got[layer].any(1), true[layer].any(1))


def test_a_canvas_that_fits_into_a_tile_has_the_usual_tokens(tmp_path: Path, backbone: Backbone) -> None:
    large = replace(SPEC, canvas=replace(SPEC.canvas, tiles=Tiles(128, 160)))
    a, b = write(tmp_path / "tiles", backbone, large), write(tmp_path / "plain", backbone, PLAIN)
    items = [(image, view) for image in range(5) for view in SPEC.views]
    assert same(CacheSource(a).read(items).tokens, CacheSource(b).read(items).tokens)


def test_fingerprints_name_tiles_only_where_there_are_any(backbone: Backbone) -> None:
    plain, tiled = (fingerprint(backbone, FakeSplit(5), spec) for spec in (PLAIN, SPEC))
    assert tiled == {**plain, "tiles": {"height": 64, "width": 64, "overlap": 0.25}} and "tiles" not in plain


@pytest.mark.parametrize(
    "wanted",
    [PLAIN.canvas, replace(PLAIN.canvas, tiles=Tiles(64, overlap=0.5)), replace(PLAIN.canvas, tiles=Tiles(96))],
    ids=["no tiles", "another overlap", "another size"],
)
def test_a_cache_of_other_tiles_is_refused(wanted: Canvas, tmp_path: Path, backbone: Backbone) -> None:
    write(tmp_path / "tiled", backbone)
    expected = fingerprint(backbone, FakeSplit(5), replace(SPEC, canvas=wanted))
    with pytest.raises(ArgusError, match="its tiles is"):
        Cache.open(tmp_path / "tiled", expected)
    with pytest.raises(ArgusError, match="its tiles is"):  # nor is it gone on with
        write(tmp_path / "tiled", backbone, replace(SPEC, canvas=wanted))
    write(tmp_path / "plain", backbone, PLAIN)
    with pytest.raises(ArgusError, match="its tiles is None"):
        Cache.open(tmp_path / "plain", fingerprint(backbone, FakeSplit(5), SPEC))
    Cache.open(tmp_path / "plain", fingerprint(backbone, FakeSplit(5), PLAIN))


def test_a_killed_caching_by_tiles_ends_with_the_same_bytes(tmp_path: Path, backbone: Backbone) -> None:
    def files(path: Path) -> dict[str, bytes]:
        return {file.name: file.read_bytes() for file in sorted(path.rglob("*")) if file.is_file()}

    small = {"batch": 2, "shard_bytes": 200_000}
    write_cache(tmp_path / "whole", backbone, FakeSplit(5), SPEC, **small)  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        write_cache(tmp_path / "cut", backbone, FakeSplit(5), SPEC, report=stop, **small)  # type: ignore[arg-type]
    assert len(files(tmp_path / "cut")) < len(files(tmp_path / "whole"))
    write_cache(tmp_path / "cut", backbone, FakeSplit(5), SPEC, **small)  # type: ignore[arg-type]
    assert files(tmp_path / "cut") == files(tmp_path / "whole")


def stop(done: int, total: int, rate: float, left: float) -> None:
    """Killed before the last images."""
    if done >= total - 1:
        raise KeyboardInterrupt


def test_tiles_that_do_not_divide_into_cells_are_refused_at_once(tmp_path: Path, backbone: Backbone) -> None:
    odd = replace(SPEC, canvas=replace(SPEC.canvas, tiles=Tiles(72)))
    with pytest.raises(ArgusError, match="64x64 and 80x80"):
        write(tmp_path / "cache", backbone, odd)
    assert not (tmp_path / "cache").exists()
