"""Heads trained on canvases that are encoded by tiles: what runs record, and that every command encodes likewise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from arena_help import DATA, train_run
from argus_arena.comparison.reproduce import reproduce
from argus_arena.requests import CacheRequest, EvalRequest
from argus_arena.tools.cache import build_cache, verify_cache
from argus_arena.tools.rescore import evaluate_run
from argus_core import Argus
from argus_core.canvas import Canvas, Tiles
from argus_core.errors import ArgusError
from argus_core.plugins.data_spec import open_data
from argus_core.plugins.hooks import load_plugins

TILED: dict[str, Any] = {"canvas": "128", "tiles": "64", "overlap": 0.25}
CANVAS = Canvas(128, tiles=Tiles(64, overlap=0.25))
RUN: dict[str, Any] = {"heads": ("segment.linear",), "data": DATA, "device": "cpu"}
SHORT: dict[str, Any] = {"epochs": 1, "batch": 4, "stages": []}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("tiles") / "cache"
    build_cache(CacheRequest(data=DATA, out=out, backbone="tiny", dtype="fp32", **TILED))
    return out


@pytest.fixture(scope="module")
def run(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on the cache, not to be changed."""
    out = tmp_path_factory.mktemp("tiles") / "run"
    train_run({**RUN, "cache": str(cache)}, SHORT, out)
    return out


def row(run: Path) -> dict[str, Any]:
    return dict(json.loads((run / "linear" / "result.json").read_text()))


def test_a_run_on_a_cache_of_tiles_records_them_and_reproduces(cache: Path, run: Path, tmp_path: Path) -> None:
    assert Canvas(**row(run)["tokens"]["canvas"]) == CANVAS
    assert verify_cache(cache) == []
    assert reproduce(run / "linear", tmp_path / "again", None)


def test_scoring_again_encodes_live_by_the_same_tiles(run: Path) -> None:
    """Only bf16 tokens would differ; canvases without these tiles give other scores."""
    scored = evaluate_run(EvalRequest(run=run, which="best", device="cpu"))["linear"]
    assert scored["metrics"] == pytest.approx(row(run)["metrics"], abs=1e-6, nan_ok=True)
    assert "tiles=Tiles(height=64" in scored["framing"] or Canvas(**scored["tokens"]["canvas"]) == CANVAS


def test_live_training_by_tiles_is_that_on_the_cache(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "live"
    train_run({**RUN, "backbone": "tiny", **TILED}, SHORT, out)
    live = row(out)
    assert Canvas(**live["tokens"]["canvas"]) == CANVAS
    assert live["metrics"] == pytest.approx(row(run)["metrics"], abs=2e-3, nan_ok=True)
    with pytest.raises(ArgusError, match="holds a run with another"):
        train_run({**RUN, "backbone": "tiny", **TILED, "overlap": 0.5}, SHORT, out)


def test_a_loaded_run_encodes_by_its_tiles_without_being_told(run: Path, tmp_path: Path) -> None:
    image = open_data(DATA, load_plugins())["val"].read(0)
    argus = Argus.from_runs([run], device="cpu")
    assert argus.canvas_of("linear") == CANVAS
    expected = argus.backbone.encode(
        torch.from_numpy(CANVAS.render(image)[0])[None], torch.tensor([[128, 128]]), argus.needs, CANVAS.tiles
    )
    plain = argus.tokens([image], Canvas(128)).tokens
    tokens = argus.tokens([image]).tokens
    (layer,) = tokens.maps
    assert torch.equal(tokens.maps[layer], expected.maps[layer])
    assert not torch.equal(tokens.maps[layer], plain.maps[layer])
    argus.save(tmp_path / "model")
    loaded = Argus.load(tmp_path / "model")
    assert loaded.canvas_of("linear") == CANVAS
    assert (loaded.segment(image).labels == argus.segment(image).labels).all()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"backbone": "tiny", "canvas": "128", "overlap": 0.3}, "add --tiles"),
        ({"backbone": "tiny", "canvas": "128", "tiles": "72"}, "64x64 and 80x80"),
        ({"backbone": "tiny", "tiles": "64", "protocol": "ade20k-whole-512-1"}, "leave out --tiles"),
        ({"tiles": "64"}, "leave it out"),
    ],
    ids=["overlap alone", "no whole cells", "protocol", "on a cache"],
)
def test_tiles_that_cannot_be_are_refused_before_anything_is_written(
    more: dict[str, Any], words: str, cache: Path, tmp_path: Path
) -> None:
    given = more if "backbone" in more else {**more, "cache": str(cache)}
    with pytest.raises(ArgusError, match=words):
        train_run({**RUN, **given}, SHORT, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_caches_of_different_tiles_do_not_serve_one_run(cache: Path, tmp_path: Path) -> None:
    given = {"data": "scenes:images=2,val=1,size=64", "out": tmp_path / "c", "backbone": "tiny"}
    build_cache(CacheRequest(**given, splits="train", **TILED))
    build_cache(CacheRequest(**given, splits="val", **{**TILED, "overlap": 0.5}))
    with pytest.raises(ArgusError, match="differ in tiles"):
        train_run({**RUN, "cache": str(tmp_path / "c")}, SHORT, tmp_path / "run")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on scenes of 64 px."""
    out = tmp_path_factory.mktemp("tiles") / "small"
    train_run({**RUN, "backbone": "tiny", "canvas": "64"}, SHORT, out)
    return out


LARGE = "scenes:images=1,val=3,size=96x160,solids=12,shrink=2"


def test_large_images_are_scored_by_tiles_as_argus_looks_at_them(small: Path) -> None:
    given: dict[str, Any] = {"run": small, "data": LARGE, "device": "cpu", "accept_faults": True}
    whole, tiled, narrow = (
        evaluate_run(EvalRequest(**given, **more))["linear"]
        for more in ({}, {"tiles": "auto", "overlap": 0.25}, {"tiles": "80", "overlap": 0.25})
    )
    assert len({json.dumps(row["metrics"]) for row in (whole, tiled, narrow)}) == 3
    assert whole["framing"] != tiled["framing"] != narrow["framing"] and "tiles='auto'" in tiled["framing"]
    assert len([*(small / "linear" / "scores").glob("*.json")]) >= 3
    argus, split = Argus.from_runs([small], device="cpu"), open_data(LARGE, load_plugins())["val"]
    metric = argus.head("linear").task.metric()
    for index in range(len(split)):
        (predictions,) = argus.predict([split.read(index)], tiles="auto", overlap=0.25)
        metric.update(split.key(index), predictions["linear"], split.truth(index, "segment"))
    assert metric.compute() == pytest.approx(tiled["metrics"], abs=1e-4, nan_ok=True)


def test_images_that_fit_into_a_tile_are_scored_as_ever(small: Path) -> None:
    given: dict[str, Any] = {"run": small, "device": "cpu"}
    plain, tiled = (evaluate_run(EvalRequest(**given, **more))["linear"] for more in ({}, {"tiles": "auto"}))
    assert plain["metrics"] == tiled["metrics"]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"overlap": 0.3}, "add --tiles auto"),
        ({"tiles": "auto", "protocol": "ade20k-whole-512-1"}, "leave out --tiles"),
        ({"tiles": "20"}, "give at least 32"),
    ],
)
def test_scoring_by_tiles_that_cannot_be(more: dict[str, Any], words: str, small: Path) -> None:
    with pytest.raises(ArgusError, match=words):
        evaluate_run(EvalRequest(run=small, data=LARGE, device="cpu", accept_faults=True, **more))
