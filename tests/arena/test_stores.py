"""Data sets, caches and runs in an object store give what they give on a disk."""

from __future__ import annotations

import json

import fsspec
import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from arena_help import settings, train_run
from argus_arena.requests import CacheRequest
from argus_arena.run.lock import locked
from argus_arena.tools.cache import build_cache
from argus_core import Argus
from argus_core.cache import verify
from argus_core.cache.claims import claim_path
from argus_core.common.files import create_exclusive
from argus_core.common.places import place
from argus_core.common.tensors import tensors_sha256
from argus_core.errors import ArgusError
from argus_core.plugins.data_spec import open_data
from argus_core.saving.checkpoint import read_tensors
from docs_world import coco

HEADS = ("detect.fcos",)
CACHED = {"heads": HEADS, "save_every": 1}
LIVE = {"heads": HEADS, "backbone": "tiny", "canvas": "64", "save_every": 1}


@pytest.fixture
def store(tmp_path, monkeypatch):
    """A data set on a disk and in a store."""
    monkeypatch.setenv("ARGUS_CACHE_DIR", str(tmp_path / "kept"))
    coco(tmp_path / "set", open_data("scenes:images=6,val=2,size=64x96"), "RBC")
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]
    fsspec.filesystem("memory").put(f"{tmp_path / 'set'}/", "/bucket/set/", recursive=True)
    return place("memory://bucket")


def cached(data, out):
    build_cache(
        CacheRequest(data=f"coco:{data}", out=out, backbone="tiny", canvas="64", views=("id", "hflip"), layers=(0, -1))
    )


def tokens(out):
    """The bytes of all shards, and the records but for the stamps of images."""
    shards = {
        file.relative_to(out).as_posix(): file.read_bytes() for file in sorted(out.glob("*/shards/*.safetensors"))
    }
    return shards, [verify(out / split) for split in ("train", "val")]


def outcome(run):
    """The digests of all weights, the log, and the scores."""
    files = sorted(run.glob("*/*.safetensors"))
    digests = {file.relative_to(run).as_posix(): tensors_sha256(read_tensors(file)[1]) for file in files}
    rows = [json.loads(file.read_text())["metrics"] for file in sorted(run.glob("*/result.json"))]
    return digests, (run / "log.jsonl").read_text(), rows


def test_a_run_is_the_same_in_a_store(store, tmp_path, arena):
    small = settings("fcos", epochs=2)
    train_run({**LIVE, "data": f"coco:{tmp_path / 'set'}"}, small, tmp_path / "run")
    train_run({**LIVE, "data": "coco:memory://bucket/set"}, small, store / "run")
    assert outcome(store / "run") == outcome(tmp_path / "run")
    again = train_run({**LIVE, "data": "coco:memory://bucket/set"}, small, store / "run")
    assert outcome(store / "run") == outcome(tmp_path / "run") and again
    assert arena("board memory://bucket/run")[0] == 0
    assert arena("report memory://bucket/run --out memory://bucket/page.html")[0] == 0
    assert "<title>" in (store / "page.html").read_text()


def test_a_run_folder_in_a_store_has_one_process(store, monkeypatch, capsys):
    monkeypatch.setenv("ARGUS_CLAIM_SECONDS", "0.4")
    with locked(store / "run"), pytest.raises(ArgusError, match="another process is training"), locked(store / "run"):
        pass
    abandoned = {"writer": "of another machine", "seconds": 0.2}
    create_exclusive(claim_path(store / "run", 0, 3), json.dumps(abandoned).encode())
    with locked(store / "run"):
        assert [file.name for file in (store / "run").glob("*.claim")] == ["00000.3.claim", "00000.4.claim"]
    assert not list((store / "run").iterdir())
    assert "waiting up to" in capsys.readouterr().err


def test_a_cache_is_the_same_in_a_store(store, tmp_path, arena):
    cached(tmp_path / "set", tmp_path / "tokens")
    cached("memory://bucket/set", store / "tokens")
    assert tokens(store / "tokens") == tokens(tmp_path / "tokens")
    assert arena("cache info memory://bucket/tokens")[0] == 0
    small = settings("fcos", epochs=2)
    train_run({**CACHED, "data": f"coco:{tmp_path / 'set'}", "cache": tmp_path / "tokens"}, small, tmp_path / "run")
    train_run({**CACHED, "data": "coco:memory://bucket/set", "cache": "memory://bucket/tokens"}, small, store / "run")
    assert outcome(store / "run") == outcome(tmp_path / "run")


def test_models_are_made_of_runs_in_a_store_and_loaded_from_there(store, tmp_path):
    train_run({**LIVE, "data": "coco:memory://bucket/set"}, settings("fcos", epochs=1), store / "run")
    argus = Argus.from_runs(["memory://bucket/run"])
    argus.save("memory://bucket/model")
    image = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    again = Argus.load("memory://bucket/model").detect(image)
    assert again.to_dict() == argus.detect(image).to_dict()


def test_a_comparison_in_a_store(store, tmp_path, arena):
    small = "--set epochs=1 --set batch=2 --backbone tiny --canvas 64"
    line = f"compare --head detect.fcos --head detect.analytic_person --set fcos.width=32 {small} --data"
    there, here = "memory://bucket/compared", tmp_path / "compared"
    assert (
        arena(f"{line} coco:memory://bucket/set --out {there}")[0]
        == arena(f"{line} coco:{tmp_path / 'set'} --out {here}")[0]
    )
    names = {"leaderboard.json", "leaderboard.csv", "leaderboard.md"}
    assert names <= {file.name for file in place(there).iterdir()} == {file.name for file in here.iterdir()}
