"""The live source: the same contract as a cache, from a backbone that runs."""

from __future__ import annotations

import pytest
import torch

from argus_core.backbones.live import LiveSource
from argus_core.backbones.tiny import tiny
from argus_core.cache import Cache, CacheSource, CacheSpec, write_cache
from argus_core.canvas import Canvas
from argus_core.errors import ArgusError
from argus_core.tokens import Needs, cell_mask
from cache_fakes import FakeBackbone, FakeSplit


def source(**options):
    return LiveSource(FakeBackbone(), FakeSplit(), Canvas(64), Needs((1, -1)), **options)


def test_tokens_hold_what_was_asked_and_padding_is_zero():
    tokens = source().read([(3, "id"), (1, "id")]).tokens
    assert sorted(tokens.maps) == [1, 3] and not tokens.prefix and len(tokens) == 2
    outside = ~cell_mask(tokens.extent, 8, (8, 8))
    assert outside.any() and (tokens.maps[1] * outside == 0).all() and tokens.maps[1].any()


def test_placement_with_and_without_reading_first():
    live = source(views=("id", "hflip"))
    before = live.placement((3, "hflip"))
    assert live.read([(3, "hflip")]).placements == (before,)
    assert live.placement((3, "hflip")) == before and before.mirrored
    assert live.placement((3, "id")) == Canvas(64).place(*FakeSplit().read(3).shape[:2])


def test_views_not_asked_for_are_refused():
    with pytest.raises(ArgusError, match="unknown view 'hflip'"):
        source().read([(0, "hflip")])
    with pytest.raises(ArgusError, match="unknown view 'vflip'"):
        source(views=("vflip",))
    with pytest.raises(ArgusError, match="layer 4 does not exist"):
        LiveSource(FakeBackbone(), FakeSplit(), Canvas(64), Needs((4,)))


def test_a_real_backbone_live_and_cached_are_equal(tmp_path):
    backbone, canvas, needs = tiny(), Canvas(64, 96), Needs((2, 11), cls=True)
    views = ("id", "hflip")
    write_cache(tmp_path, backbone, FakeSplit(3), CacheSpec(canvas, needs, views, "fp32"), batch=2)
    cached = CacheSource(Cache.open(tmp_path))
    live = LiveSource(backbone, FakeSplit(3), canvas, needs, views)
    items = [(index, view) for index in (0, 1) for view in views]
    a, b = cached.read(items).tokens, live.read(items).tokens
    for layer in (2, 11):
        assert torch.equal(a.maps[layer], b.maps[layer]) and torch.equal(a.prefix[layer], b.prefix[layer][:, :1])
    for x, y in zip(a.features(needs).maps, b.features(needs).maps, strict=True):
        assert torch.equal(x, y)
