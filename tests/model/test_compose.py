"""Argus: many heads, one backbone pass, and each head answers as if it were alone."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch
from torch import nn

from argus_core.argus import Argus
from argus_core.backbones import load_backbone
from argus_core.backbones.live import LiveSource
from argus_core.cache import Cache, CacheSource, CacheSpec, write_cache
from argus_core.canvas import Canvas
from argus_core.errors import ArgusError
from argus_core.saving.build import build_head
from argus_core.tasks.detect import Detect
from argus_core.tokens import FeatureInfo
from broken_heads import Good
from cache_fakes import FakeSplit

TASK = Detect.small()
CANVAS = Canvas(96, 128)
SIZES = ((60, 200), (200, 60), (1, 1), (96, 128))


class Normed(Good):
    """Batch statistics, which a stray training pass would move."""

    def __init__(self, info, task) -> None:
        super().__init__(info, task)
        self.norm = nn.BatchNorm2d(info.channels[-1])

    def reply(self, x, features):
        return super().reply(self.norm(x), features)


@pytest.fixture(scope="module")
def backbone():
    return load_backbone("tiny")


@pytest.fixture(scope="module")
def heads(backbone):
    """Heads that read different layers, every parameter moved off its start so that they detect something."""
    torch.manual_seed(0)
    small = {"width": 16, "layers": [5, -1]}
    made = {
        "boxes": build_head("detect.fcos", backbone.info, TASK, small | {"depth": 1}),
        "towers": build_head("detect.split_tower", backbone.info, TASK, small | {"convs": 1, "text_dim": 24}),
        "early": Good(backbone.info, TASK, layers=(2,)),
        "normed": Normed(backbone.info, TASK),
    }
    with torch.no_grad():
        for head in made.values():
            for p in head.parameters():
                p.add_(torch.randn_like(p) * 0.1)
    return made


@pytest.fixture(scope="module")
def images():
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (*size, 3), dtype=np.uint8) for size in SIZES]


@pytest.fixture
def passes(backbone, monkeypatch):
    """The batch size of every backbone pass."""
    made, network = [], backbone.model.forward_intermediates

    @functools.wraps(network)
    def counted(x, *args, **kwargs):
        made.append(len(x))
        return network(x, *args, **kwargs)

    monkeypatch.setattr(backbone.model, "forward_intermediates", counted)
    return made


def same(first, second):
    return all(
        torch.equal(getattr(a, key), getattr(b, key))
        for a, b in zip(first, second, strict=True)
        for key in ("boxes", "scores", "labels")
    )


def test_any_number_of_heads_takes_one_pass(backbone, heads, images, passes):
    together = Argus(backbone, heads, CANVAS)
    assert together.needs.layers == (2, 5, 11)
    found = together(images)
    assert passes == [len(images)]
    assert list(found) == list(heads) and all(len(each) == len(images) for each in found.values())
    assert sum(len(one.scores) for each in found.values() for one in each) > 0


def test_a_head_answers_in_company_as_it_does_alone(backbone, heads, images):
    together = Argus(backbone, heads, CANVAS)(images)
    for name, head in heads.items():
        assert same(together[name], Argus(backbone, {name: head}, CANVAS)(images)[name]), name


def test_predictions_lie_in_each_images_own_pixels(backbone, heads, images):
    for predictions in Argus(backbone, heads, CANVAS)(images).values():
        for one, (height, width) in zip(predictions, SIZES, strict=True):
            assert (one.boxes >= 0).all()
            assert (one.boxes <= torch.tensor([width, height, width, height])).all()


def test_stored_tokens_give_what_live_ones_gave(backbone, heads, images, tmp_path):
    argus, split = Argus(backbone, heads, CANVAS), FakeSplit(5)
    write_cache(tmp_path, backbone, split, CacheSpec(CANVAS, argus.needs, dtype="fp32"))
    items = [(index, "id") for index in range(5)]
    stored = argus.run_heads(CacheSource(Cache.open(tmp_path)).read(items).tokens)
    live = argus.run_heads(LiveSource(backbone, split, CANVAS, argus.needs).read(items).tokens)
    assert all(same(live[name], stored[name]) for name in heads)


def test_training_mode_reaches_heads_but_not_the_backbone(backbone, heads, images):
    argus = Argus(backbone, heads, CANVAS)
    before = argus(images)
    argus.train()
    assert heads["normed"].norm.training and not any(m.training for m in backbone.modules())
    tokens, _ = argus.tokens(images)
    argus.eval()
    assert torch.equal(tokens.maps[11], argus.tokens(images)[0].maps[11])
    assert not any(m.training for m in argus.modules())
    assert all(same(before[name], found) for name, found in argus(images).items())
    assert not any(p.requires_grad for p in backbone.parameters())


def test_heads_of_another_backbone_are_refused_by_name(backbone, heads):
    stranger = Good(FeatureInfo.vit(48), TASK)
    with pytest.raises(ArgusError, match="head 'odd' reads 48 channels of layers -1, backbone 'tiny' has 96 there"):
        Argus(backbone, {"odd": stranger, **heads}, CANVAS)


def test_what_cannot_work_is_said(backbone, heads):
    with pytest.raises(ArgusError, match="at least one head"):
        Argus(backbone, {}, CANVAS)([np.zeros((8, 8, 3), dtype=np.uint8)])
    for name in ("detect.fcos", "items"):
        with pytest.raises(ArgusError, match=f"'{name}' cannot name a head"):
            Argus(backbone, {name: heads["boxes"]}, CANVAS)
    with pytest.raises(ArgusError, match="no image"):
        Argus(backbone, heads, CANVAS)([])


def test_a_head_that_would_not_know_what_it_sees_is_refused_when_it_is_put_in(backbone):
    head = Good(backbone.info, TASK)
    with pytest.raises(ArgusError, match=r"'new' .* as in Argus\(\.\.\., canvas=Canvas\(320\)\), or .*head\.canvas"):
        Argus(backbone, {"new": head})
    argus = Argus(backbone)
    with pytest.raises(ArgusError, match="head 'new' was not trained on any canvas"):
        argus.add("new", head)
    assert not len(argus.heads)
    head.canvas = CANVAS
    argus.add("new", head)
    assert argus.canvas_of("new") == CANVAS
