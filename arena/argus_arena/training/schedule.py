"""When and how fast a head learns: its phases, its rate at each step, and after which steps it is scored."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from argus_core.errors import ArgusError
from argus_core.recipe import Recipe

EVALUATIONS = 10
"""Evaluations of a training whose recipe names no number."""


@dataclass(frozen=True)
class Phase:
    """A stretch of steps with one optimiser."""

    start: int
    steps: int
    lr: float
    only: tuple[str, ...]


def phases(recipe: Recipe, steps_per_epoch: int) -> list[Phase]:
    """The main phase and the stages at the end of it, in steps; raises ArgusError if they leave none to the first."""
    total = recipe.steps or max(1, round(recipe.epochs * steps_per_epoch))
    lengths = [max(1, round(stage.epochs * steps_per_epoch)) for stage in recipe.stages]
    main = total - sum(lengths)
    if main < 1:
        raise ArgusError(
            f"the stages take {sum(lengths)} steps, and the whole training, whose end they are, is {total}; "
            "give more --set epochs=N, or shorter stages"
        )
    planned = [Phase(0, main, recipe.lr, ())]
    for steps, stage in zip(lengths, recipe.stages, strict=True):
        planned.append(Phase(planned[-1].start + planned[-1].steps, steps, stage.lr, stage.only))
    return planned


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


def evaluation_steps(phases: Sequence[Phase], recipe: Recipe, steps_per_epoch: int, every: float) -> frozenset[int]:
    """Numbers of steps done; the end of every phase is among them, so that a stage starts from scored weights.

    ``every`` are epochs between evaluations. With 0 the recipe's share and number decide, evenly spaced over the main
    phase and once an epoch in stages, or else whole epochs, about ten evaluations in all.
    """
    if not phases:
        return frozenset()
    total, main = phases[-1].start + phases[-1].steps, phases[0].steps
    ends = {phase.start + phase.steps for phase in phases}
    if every:
        return _multiples(0, total, max(1, round(every * steps_per_epoch))) | ends
    if not (recipe.evaluations or recipe.evaluate_from):
        whole = max(steps_per_epoch, round(total / EVALUATIONS / steps_per_epoch) * steps_per_epoch)
        return _multiples(0, total, whole) | ends
    later = [_multiples(phase.start, phase.start + phase.steps, steps_per_epoch) for phase in phases[1:]]
    return frozenset().union(_spread(recipe, main), ends, *later)


def _multiples(start: int, end: int, every: int) -> frozenset[int]:
    return frozenset(range(start + every, end + 1, every))


def _spread(recipe: Recipe, steps: int) -> frozenset[int]:
    """Evenly from the first evaluation to the last step; without a share to wait for, the first interval is waited."""
    count = recipe.evaluations or EVALUATIONS
    if not recipe.evaluate_from:
        return frozenset(max(1, round(steps * (n + 1) / count)) for n in range(count))
    first, last = max(1, round(recipe.evaluate_from * steps)), max(1, steps)
    return frozenset(round(first + (last - first) * n / max(1, count - 1)) for n in range(count))
