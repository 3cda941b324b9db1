"""Learning rates against closed forms and the published tables."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from argus_arena.training.schedule import beta1, factor
from argus_core.recipe import Recipe

SHARED = Path(__file__).resolve().parents[2].parent / "shared"


def test_cosine_rises_linearly_and_falls_to_zero():
    recipe = Recipe(warmup=0.1)
    rates = [factor(step, 1000, recipe) for step in range(1000)]
    assert rates[:100] == sorted(rates[:100]) and max(rates) == rates[100] == 1.0
    assert rates[100:] == sorted(rates[100:], reverse=True)
    assert rates[550] == pytest.approx(0.5, abs=1e-3) and rates[-1] < 1e-5
    assert rates[1] - rates[0] == pytest.approx(rates[51] - rates[50])


def test_constant_only_warms_up():
    rates = [factor(step, 100, Recipe(warmup=0.1, schedule="constant")) for step in range(100)]
    assert set(rates[10:]) == {1.0} and rates[0] < 0.1


@pytest.fixture
def published():
    path = SHARED / "golden" / "eval_reference_values.json"
    if not path.exists():
        pytest.skip("the published learning-rate tables are not here")
    return json.loads(path.read_text())


def test_one_cycle_is_the_published_table(published):
    recipe = Recipe(schedule="onecycle", warmup=1500 / 40000)
    for step, (rate, _) in published["seg_lr"].items():
        assert 1e-3 * factor(int(step), 40000, recipe) == pytest.approx(rate, rel=1e-6), step
        assert beta1(int(step), 40000, recipe) is None


def test_one_cycle_with_momentum_is_the_published_table(published):
    recipe = Recipe(schedule="onecycle-momentum", warmup=1 / 3)
    for step, (rate, betas) in published["depth_lr"].items():
        assert 3e-4 * factor(int(step), 38400, recipe) == pytest.approx(rate, rel=1e-6), step
        assert beta1(int(step), 38400, recipe) == pytest.approx(betas[0], rel=1e-6), step


@pytest.mark.parametrize("steps", [1, 2, 3, 10, 1000])
@pytest.mark.parametrize("warmup", [0.0, 1 / 3, 0.999])
def test_one_cycle_with_momentum_stays_in_range_however_short(steps, warmup):
    recipe = Recipe(schedule="onecycle-momentum", warmup=warmup)
    for step in range(steps):
        assert 0 < factor(step, steps, recipe) <= 1.001
        assert beta1(step, steps, recipe) == 0 or 0.85 <= beta1(step, steps, recipe) <= 0.95
