"""The learning rate of each step, as a factor of the peak rate."""

from __future__ import annotations

import math

from argus_core.recipe import Recipe


def factor(step: int, steps: int, recipe: Recipe) -> float:
    """Factor of the peak rate at 0-based ``step`` of ``steps``, in 0..1.

    ``onecycle`` is the schedule of EUPE's segmentation probes: a warm-up damped by (1 - s/T), then a cosine
    measured over all steps.
    """
    warm = round(recipe.warmup * steps)
    if recipe.schedule == "onecycle":
        return _onecycle(step, steps, warm)
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


def _cosine(share: float) -> float:
    return (1 + math.cos(math.pi * share)) / 2


def beta1(step: int, steps: int, recipe: Recipe) -> float | None:
    """Adam's first coefficient at 0-based ``step`` where the schedule drives it, else None."""
    return None
