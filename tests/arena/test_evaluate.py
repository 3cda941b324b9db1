"""Scoring: every image read once, heads of vectors run on many at a time, and costs that grow with the images alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from argus_arena.distributed import Distributed
from argus_arena.run.batches import Order
from argus_arena.scoring.chunks import chunks
from argus_arena.scoring.evaluate import evaluate
from argus_arena.scoring.rules import Scoring
from argus_core.backbones.live import FramedSource
from argus_core.canvas import Canvas, Windows
from argus_core.head import Head
from argus_core.tasks.classify import Classes, Classify
from argus_core.tokens import FeatureInfo, Needs, PlacedTokens, Tokens
from cache_fakes import FakeBackbone, FakeSplit

TASK = Classify(classes=("a", "b", "c"))
ALONE = Distributed(0, 1, torch.device("cpu"))


class Labelled(FakeSplit):
    """Images with classes, which are counted when they are read."""

    tasks = {"classify": TASK}  # noqa: RUF012
    members = staticmethod(lambda index: (index,))

    def __init__(self, count):
        super().__init__(count)
        self.reads = []

    def read(self, index):
        self.reads.append(index)
        return super().read(index)

    def samples(self, task):
        return [self.members(index) for index in range(len(self))]

    def truth(self, sample, task):
        return sample % 3


class Vectors(Head):
    """Scores by the first three numbers of CLS; remembers how many images it was given at once."""

    solves, needs = Classify, Needs(maps=False, cls=True)

    def __init__(self, info, task):
        super().__init__(info, task)
        self.sizes = []

    def forward(self, features):
        self.sizes.append(len(features.extent))
        return (features.cls[-1] if features.cls else features.map.mean((2, 3)))[:, :3]

    def decode(self, output, canvas):
        return [Classes(one.softmax(0)) for one in output]


class Dense(Vectors):
    """The same of maps."""

    needs = Needs()


def live(split, framing=Canvas(64), needs=Needs(cls=True)):  # noqa: B008
    return Scoring(FramedSource(FakeBackbone(), split, framing, needs), split)


def score(scoring, batch=8, **heads):
    made = {name: cls(FakeBackbone().info, TASK) for name, cls in heads.items()}
    found = evaluate(made, scoring, ALONE, batch, lambda *_: None)
    return made, {name: metric.compute() for name, metric in found.items()}


@pytest.mark.parametrize("framing", [Canvas(64), Windows(48, 32, 16)])
def test_an_image_is_decoded_once_however_many_passes_it_takes(framing):
    split = Labelled(5)
    scoring = live(split, framing)
    score(scoring, 4, dense=Dense, vectors=Vectors)
    assert sorted(split.reads) == list(range(5))
    assert not scoring.source._waiting


def test_sizes_that_are_asked_for_hold_no_more_than_a_few_images(monkeypatch):
    monkeypatch.setattr("argus_core.backbones.live.MAX_WAITING", 60_000)
    scoring = live(Labelled(40))
    for index in range(40):
        scoring.source.placement((index, "0"))
    assert 0 < sum(image.nbytes for image in scoring.source._waiting.values()) <= 60_000


def test_heads_of_vectors_run_on_many_images_at_once(monkeypatch):
    split = Labelled(20)
    heads, both = score(live(split), dense=Dense, vectors=Vectors)
    assert heads["vectors"].sizes == [20] and max(heads["dense"].sizes) == 8 and len(split.reads) == 20
    heads, alone = score(live(Labelled(20)), vectors=Vectors)
    assert heads["vectors"].sizes == [20] and alone["vectors"] == both["vectors"]
    monkeypatch.setattr("argus_arena.scoring.pool.MAX_PASSES", 16)
    heads, parted = score(live(Labelled(20)), vectors=Vectors)
    assert heads["vectors"].sizes == [16, 4] and parted["vectors"] == pytest.approx(alone["vectors"])
    monkeypatch.setattr("argus_arena.scoring.pool.MAX_BYTES", 1)
    assert set(score(live(Labelled(20)), vectors=Vectors)[0]["vectors"].sizes) == {8, 4}


def test_passes_are_merged_as_one_by_one(monkeypatch):
    found = [score(live(Labelled(4), Windows(48, 32, 16)), 3, vectors=Vectors)[1]["vectors"]]
    monkeypatch.setattr("argus_arena.scoring.pool.MAX_PASSES", 1)
    found.append(score(live(Labelled(4), Windows(48, 32, 16)), 3, vectors=Vectors)[1]["vectors"])
    assert found[0] == pytest.approx(found[1])


class Looked(tuple):
    """Images of a sample, which count how often somebody goes through them."""

    count = 0

    def __iter__(self):
        Looked.count += 1
        return super().__iter__()


class Instant(FramedSource):
    """Tokens without images."""

    def __init__(self, split):
        super().__init__(FakeBackbone(), split, Canvas(64), Needs())

    def _size(self, index):
        return 64, 64

    def read(self, items):
        info = FeatureInfo((12,) * 4, (16,) * 4)
        extent = torch.full((len(items), 2), 64)
        tokens = Tokens({3: torch.zeros(len(items), 12, 4, 4)}, {}, extent, (64, 64), info)
        return PlacedTokens(tokens, [self.placement(item) for item in items])


def test_what_scoring_looks_at_grows_with_the_samples_and_not_with_their_square(monkeypatch):
    monkeypatch.setattr(Looked, "count", 0)
    monkeypatch.setattr(Labelled, "members", staticmethod(lambda index: Looked((index,))))
    split = Labelled(600)
    score(Scoring(Instant(split), split), dense=Dense)
    assert Looked.count < 10 * 600


def test_predictions_needed_soonest_are_kept(monkeypatch):
    """Pairs share images: none is read again while those that are kept suffice."""
    monkeypatch.setattr("argus_arena.scoring.chunks.KEPT", 2)
    found = list(chunks(tuple((n, (0, n)) for n in range(1, 12)), 1))
    assert [index for chunk in found for index in chunk.missing] == list(range(12))
    found = list(chunks(tuple((n, (n, (n + 5) % 12)) for n in range(12)), 2))
    have: set[int] = set()
    for chunk in found:
        assert not have & set(chunk.missing) and len(chunk.kept) <= 2
        have |= set(chunk.missing)
        assert all(have >= set(images) for _, images in chunk.samples)
        have = set(chunk.kept) & have


class Hashed(int):
    """Numbers that count how often they are hashed."""

    count = 0

    def __hash__(self):
        Hashed.count += 1
        return int.__hash__(self)


def test_the_order_of_an_epoch_is_drawn_once():
    order = Order(tuple(map(Hashed, range(100))), ("id", "hflip"), 7, 3)
    seen = [order.items(step) for step in range(28)]
    assert Hashed.count == 0
    rng = np.random.default_rng([3, 1])
    images, views = rng.permutation(100), rng.integers(2, size=100)
    expected = [(int(image), ("id", "hflip")[view]) for image, view in zip(images, views, strict=True)]
    assert [item for items in seen[14:] for item in items] == expected[:98]
    assert order.items(3) == seen[3] and order == Order(order.images, order.views, 7, 3)
