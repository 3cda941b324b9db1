"""Intervals and comparisons of mean scores: against scipy, on simulated data with a fixed seed, and at their limits."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from argus_arena.leaderboard.resampling import resamples
from argus_arena.leaderboard.significance import LEVEL, Scored, Seeds, compare, holm, interval, least_p, seed_parts

NONE = Seeds(0.0, 0.0, 1.0)


def counts(images, number=400):
    return np.concatenate(list(resamples(images, number)))


def scored(values, chosen):
    """An entry whose score is the mean of ``values`` (seeds, images)."""
    values = np.atleast_2d(np.asarray(values, dtype=float))
    return Scored(values.mean(1), values @ chosen.T / values.shape[1])


def pairs(entries, images):
    parts = seed_parts(entries, images)
    return [
        compare(entries[a], entries[b], (parts[a], parts[b]), images) for a, b in combinations(range(len(entries)), 2)
    ]


@pytest.mark.parametrize("images", [12, 60, 300])
def test_one_seed_each_is_the_paired_t_test(images):
    rng, chosen = np.random.default_rng(images), counts(images, 4000)
    first = rng.normal(0, 1, images)
    second = first + rng.normal(0.1, 0.4, images)
    found = compare(scored(first, chosen), scored(second, chosen), (NONE, NONE), images)
    reference = stats.ttest_rel(first, second)
    assert found.freedom == pytest.approx(images - 1)
    assert found.difference / found.error == pytest.approx(reference.statistic, rel=0.05)
    assert found.p == pytest.approx(max(reference.pvalue, least_p(images)), rel=0.3, abs=1e-6)


def test_seeds_alone_are_never_bolder_than_students_t():
    """Where images add nothing, an entry's variance is at least the pooled one of the t-test."""
    rng, chosen = np.random.default_rng(0), counts(50)
    for _ in range(30):
        first, second = rng.normal(0, 1, 3), rng.normal(0.5, 2, 3)
        entries = [scored(np.repeat(seeds[:, None], 50, axis=1), chosen) for seeds in (first, second)]
        (found,) = pairs(entries, 50)
        assert found.p >= stats.ttest_ind(first, second).pvalue - 1e-9


def test_errors_of_images_that_entries_share_cancel():
    rng, chosen = np.random.default_rng(1), counts(100)
    hard = rng.normal(0, 5, 100)
    entries = [scored(hard + shift + rng.normal(0, 0.1, 100), chosen) for shift in (0, 0.1)]
    (found,) = pairs(entries, 100)
    assert found.p < 1e-6
    (low, high), (other_low, _) = (interval(entry, NONE) for entry in entries)
    assert other_low < high and high - low > 1  # the intervals overlap all the same


def share_of_false_rankings(heads, seeds, images, between, within, trials=120):
    """How often heads that are alike are told apart; ``between`` seeds and ``within`` a seed are deviations."""
    rng, chosen, wrong = np.random.default_rng(3), counts(images, 200), 0
    for _ in range(trials):
        hard = rng.normal(0, 1, images)
        made = [
            hard + rng.normal(0, between, (seeds, 1)) + rng.normal(0, within, (seeds, images)) for _ in range(heads)
        ]
        wrong += any(holm([pair.p for pair in pairs([scored(values, chosen) for values in made], images)]))
    return wrong / trials


@pytest.mark.parametrize(("heads", "seeds"), [(2, 1), (2, 3), (6, 1), (6, 3)])
@pytest.mark.parametrize(("between", "within"), [(0.1, 1.0), (0.5, 0.5)])
def test_heads_that_are_alike_are_told_apart_in_at_most_5_percent(heads, seeds, between, within):
    """Of a single seed each the seeds do not count: there ``between`` is 0. 120 trials of 5 % give 10 % or less."""
    share = share_of_false_rankings(heads, seeds, 60, between if seeds > 1 else 0.0, within)
    assert share <= 0.10


@pytest.mark.parametrize(("seeds", "between"), [(1, 0.0), (3, 0.0), (3, 0.2), (5, 0.2)])
def test_intervals_cover_the_true_score(seeds, between):
    """Images and seeds are drawn from a population whose mean is 0.8; 300 trials of 95 % give 92 to 98.5 %."""
    rng, chosen, covered, images, trials = np.random.default_rng(seeds), counts(80, 300), 0, 80, 300
    for _ in range(trials):
        values = 0.8 + rng.exponential(0.5, images) - 0.5 + rng.normal(0, between, (seeds, 1))
        values = values + rng.normal(0, 0.3, (seeds, images))
        entry = scored(values, chosen)
        low, high = interval(entry, seed_parts([entry], images)[0])
        covered += low <= 0.8 <= high
    assert 0.92 <= covered / trials <= 0.985


def test_a_planted_difference_is_shown_as_often_as_promised():
    """At the smallest difference, 80 % of data sets show it; half of it is shown far less often."""
    rng, chosen, images = np.random.default_rng(5), counts(100, 300), 100
    shown = {1.0: 0, 0.5: 0}
    for scale in shown:
        for _ in range(200):
            noise = rng.normal(0, 1, (2, images))
            error = np.sqrt(2 / images)
            planted = scale * (stats.t.ppf(0.975, 99) + stats.t.ppf(0.8, 99)) * error
            (found,) = pairs([scored(noise[0], chosen), scored(noise[1] + planted, chosen)], images)
            shown[scale] += found.p <= 1 - LEVEL
            assert found.smallest(0.05) == pytest.approx(planted / scale, rel=0.4)
    assert 0.7 <= shown[1.0] / 200 <= 0.9 and shown[0.5] / 200 < 0.4


def test_identical_entries_are_not_told_apart():
    rng, chosen = np.random.default_rng(2), counts(30)
    values = rng.random((3, 30))
    (found,) = pairs([scored(values, chosen)] * 2, 30)
    assert found.p == 1 and holm([found.p]) == [False]


@pytest.mark.parametrize(("images", "shown"), [(2, False), (5, False), (6, True)])
def test_few_images_show_nothing_however_clear_they_are(images, shown):
    """All images right against all wrong: resamples never differ, a sign test of so few images may."""
    chosen = counts(images)
    (found,) = pairs([scored(np.ones(images), chosen), scored(np.zeros(images), chosen)], images)
    assert found.error == 0 and found.p == least_p(images) and holm([found.p]) == [shown]


def test_holm_is_between_bonferroni_and_nothing():
    values = [0.04, 0.001, 0.012, 0.2, 0.013]
    assert holm(values) == [False, True, True, False, True]  # .001 <= .01, .012 <= .0125, .013 <= .0167, .04 > .025
    assert holm([]) == [] and holm([0.05]) == [True]
    rng = np.random.default_rng(0)
    for _ in range(50):
        some = rng.random(6) ** 3 * 0.1
        refused = holm(some.tolist())
        assert all(one or value > 0.05 / 6 for one, value in zip(refused, some, strict=True))
        assert all(value <= 0.05 for one, value in zip(refused, some, strict=True) if one)


def test_seeds_that_change_nothing_add_nothing():
    rng, chosen = np.random.default_rng(4), counts(40)
    fixed, moving = np.tile(rng.random(40), (3, 1)), rng.random((3, 40)) + rng.normal(0, 1, (3, 1))
    parts = seed_parts([scored(fixed, chosen), scored(moving, chosen), scored(rng.random(40), chosen)], 40)
    assert [part.added > 0 for part in parts] == [False, True, False]


def test_resamples_are_always_the_same_however_many_are_drawn_at_once(monkeypatch):
    whole = counts(7, 50)
    monkeypatch.setattr("argus_arena.leaderboard.resampling.CELLS", 60)
    assert (counts(7, 50) == whole).all()
    assert (whole.sum(axis=1) == 7).all() and whole.mean() == 1 and whole.std() > 0.5
