"""How fast a head learns at each step of a phase."""

from __future__ import annotations

import math

from argus_core.recipe import Recipe


def factor(step: int, steps: int, recipe: Recipe) -> float:
    """Factor of the peak rate at 0-based ``step`` of ``steps``, in 0..1.

    ``onecycle`` is the schedule of EUPE's segmentation probes: a warm-up damped by (1 - s/T), then a cosine
    measured over all steps. ``onecycle-momentum`` is that of its depth probes: a similar warm-up, whose rate
    jumps where it ends, then the cosine down to 1/25000; ``beta1`` is its other half.
    """
    warm = _warm(steps, recipe)
    if recipe.schedule == "onecycle":
        return _onecycle(step, steps, warm)
    if recipe.schedule == "onecycle-momentum":
        return _onecycle_momentum(step, steps, warm)
    if step < warm:
        return (step + 1) / (warm + 1)
    if recipe.schedule == "constant":
        return 1.0
    return _cosine((step - warm) / max(1, steps - warm))


def _onecycle(step: int, steps: int, warm: int) -> float:
    # The published loop steps its scheduler after the first iteration, so the rate lags by one while warming up.
    done = max(0, step - 1)
    if done < warm:
        return 1e-6 * (1 - done / warm) + done / warm * (1 - done / steps)
    return _cosine(step / steps)


def _onecycle_momentum(step: int, steps: int, warm: int) -> float:
    if step < warm:
        return 1e-3 + _cosine(step / steps) * step / warm
    least = 1 / 25_000
    return least + (1 - least) * _cosine((step + 1) / steps)


def _warm(steps: int, recipe: Recipe) -> int:
    return round(recipe.warmup * steps)


def _cosine(share: float) -> float:
    return (1 + math.cos(math.pi * share)) / 2


def beta1(step: int, steps: int, recipe: Recipe) -> float | None:
    """Adam's first coefficient at 0-based ``step`` where the schedule drives it, else None.

    ``onecycle-momentum`` has none while it warms up, then raises it from 0.85 to 0.95 along a cosine.
    """
    if recipe.schedule != "onecycle-momentum":
        return None
    warm = _warm(steps, recipe)
    if step < warm:
        return 0.0
    return 0.95 - 0.1 * _cosine((step - warm) / (steps - warm))
