"""Suggested images: uncertain ones that stand for many, none of them alike, and none like an annotated one."""

from __future__ import annotations

import numpy as np
import pytest

from argus_core.errors import ArgusError
from argus_core.teach import suggest as module
from argus_core.teach.suggest import suggest


def clusters(sizes, dim=16, noise=0.05, seed=0):
    """Vectors about a centre for each size, and the cluster of each."""
    random = np.random.default_rng(seed)
    centres = np.linalg.qr(random.normal(size=(dim, dim)))[0][: len(sizes)]
    owners = np.repeat(np.arange(len(sizes)), sizes)
    return centres[owners] + noise * random.normal(size=(len(owners), dim)), owners


def test_the_first_suggestions_are_of_different_kinds_and_large_ones_come_first():
    vectors, owners = clusters([30, 20, 10, 5])
    assert owners[suggest(np.ones(len(vectors)), vectors, 4)].tolist() == [0, 1, 2, 3]


def test_what_the_head_is_sure_of_waits():
    vectors, owners = clusters([30, 20, 10])
    assert owners[suggest(np.where(owners == 2, 1.0, 0.0), vectors, 1)] == [2]


def test_what_is_like_an_annotated_image_waits():
    vectors, owners = clusters([30, 20, 10])
    assert owners[suggest(np.ones(60), vectors, 2, known=vectors[:1])].tolist() == [1, 2]


def test_copies_of_one_image_are_suggested_once():
    vectors, _ = clusters([4, 1, 1], noise=0)
    assert len({*suggest(np.ones(6), vectors, 3)} & {0, 1, 2, 3}) == 1


def test_the_choice_is_that_of_the_greedy_search_written_out():
    random = np.random.default_rng(3)
    vectors, known = random.normal(size=(25, 5)), random.normal(size=(3, 5))
    doubts = random.uniform(size=25)
    unit = [vector / np.linalg.norm(vector) for vector in vectors]
    seen = [vector / np.linalg.norm(vector) for vector in known]
    expected = []
    for _ in range(6):

        def covered(more):
            weight = doubts + doubts.mean()
            return sum(w * max(float(v @ other) for other in [*seen, *more]) for w, v in zip(weight, unit, strict=True))

        gains = {n: covered([unit[n]]) for n in range(25) if n not in expected}
        expected.append(max(gains, key=gains.get))
        seen.append(unit[expected[-1]])
    assert suggest(doubts, vectors, 6, known) == expected


def test_lengths_of_vectors_and_the_unit_of_doubts_do_not_matter():
    random = np.random.default_rng(4)
    vectors, doubts = random.normal(size=(40, 6)), random.uniform(size=40)
    first = suggest(doubts, vectors, 8)
    assert suggest(doubts * 1000, vectors * random.uniform(1, 9, (40, 1)), 8) == first


def test_all_images_are_suggested_once_where_more_are_asked_for():
    vectors, _ = clusters([3, 2])
    assert sorted(suggest(np.zeros(5), vectors, 99)) == [0, 1, 2, 3, 4]


def test_of_very_many_images_some_are_compared(monkeypatch):
    monkeypatch.setattr(module, "MOST", 10)
    vectors, owners = clusters([40, 40])
    chosen = suggest(np.ones(80), vectors, 4)
    assert len({*chosen}) == 4 and owners[chosen[:2]].tolist() in ([0, 1], [1, 0])
    assert len({*suggest(np.ones(80), vectors, 50)}) == 50


@pytest.mark.parametrize(
    ("scores", "shape"), [([], (0, 4)), ([1.0], (2, 4)), ([np.nan, 0], (2, 4)), ([-1, 0], (2, 4)), ([1, 1], (2,))]
)
def test_arrays_that_do_not_fit_are_refused(scores, shape):
    with pytest.raises(ArgusError, match="scores"):
        suggest(scores, np.ones(shape), 1)
