"""Learning rates against closed forms and the published tables."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from argus_arena.schedule import factor
from argus_core.recipe import Recipe

SHARED = Path(__file__).resolve().parents[1].parent / "shared"


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


def test_one_cycle_is_the_published_table():
    path = SHARED / "golden" / "eval_reference_values.json"
    if not path.exists():
        pytest.skip("the published learning-rate table is not here")
    recipe = Recipe(schedule="onecycle", warmup=1500 / 40000)
    for step, (rate, _) in json.loads(path.read_text())["seg_lr"].items():
        assert 1e-3 * factor(int(step), 40000, recipe) == pytest.approx(rate, rel=1e-6), step
