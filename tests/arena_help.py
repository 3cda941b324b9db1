"""A small run that every arena test builds on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from argus_arena.requests import CacheRequest, make_request
from argus_arena.tools.cache import build_cache
from argus_arena.training import train

DATA = "scenes:images=20,val=6,size=64"
SMALL: dict[str, Any] = {
    "epochs": 4,
    "batch": 4,
    "stages": [],
    "fcos.width": 32,
    "fcos.depth": 1,
    "split_tower.width": 32,
    "split_tower.convs": 1,
    "split_tower.residuals": 1,
    "split_tower.ema": 0.9,
}


def small_cache(out: Path) -> Path:
    """The tokens of a few scenes, both views."""
    build_cache(CacheRequest(data=DATA, out=out, backbone="tiny", canvas="64", views=("id", "hflip")))
    return out


def settings(*heads: str, **more: Any) -> dict[str, Any]:
    """``SMALL`` for some heads only, with more settings."""
    kept = {key: value for key, value in SMALL.items() if "." not in key or key.split(".")[0] in heads}
    return kept | more


def train_run(given: Mapping[str, Any], settings: Mapping[str, Any], out: Path) -> dict[str, Any]:
    """The rows of a run, of fields of its request and settings."""
    return train.train_run(make_request({**given, "settings": settings}), out)
