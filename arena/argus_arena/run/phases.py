"""The phases of a training, and after which of its steps it is scored."""

from __future__ import annotations

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


def has_choice(recipe: Recipe, steps_per_epoch: int, every: float) -> bool:
    """Whether a training leaves anything to choose: a rate, or one of several evaluations, as between stages."""
    planned = phases(recipe, steps_per_epoch)
    return bool(recipe.sweep) or len(evaluation_steps(planned, recipe, steps_per_epoch, every)) > 1


def _multiples(start: int, end: int, every: int) -> frozenset[int]:
    return frozenset(range(start + every, end + 1, every))


def _spread(recipe: Recipe, steps: int) -> frozenset[int]:
    """Evenly from the first evaluation to the last step; without a share to wait for, the first interval is waited."""
    count = recipe.evaluations or EVALUATIONS
    if not recipe.evaluate_from:
        return frozenset(max(1, round(steps * (n + 1) / count)) for n in range(count))
    first, last = max(1, round(recipe.evaluate_from * steps)), max(1, steps)
    return frozenset(round(first + (last - first) * n / max(1, count - 1)) for n in range(count))
