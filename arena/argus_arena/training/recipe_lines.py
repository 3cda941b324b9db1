"""Recipes in words before a run starts, and what keeps a card's recipe from being the published training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from argus_arena.run.context import Setting
from argus_arena.training.learner import Learner
from argus_core.errors import counted
from argus_core.recipe import Recipe


def recipe_lines(setting: Setting, learners: Sequence[Learner]) -> list[str]:
    """Images, canvas, batch; rate, length and warm-up of every head that takes steps: one line for one head."""
    trained = [one for one in learners if one.phases]
    if not trained:
        return []
    card = setting.request.recipe == "card"
    images, canvas = counted(len(setting.order.images), "image"), _canvas(setting)
    start = f"recipe: {'card, ' if card else ''}{images} on {canvas} -> batch {setting.order.batch}"
    hint = "" if card else "; --recipe card for the published one"
    faults = [
        f"warning: {one.name}: {text}"
        for one in trained
        for text in unmet(one.recipe, one.head.options, setting.record["tokens"])
    ]
    if len(trained) == 1:
        return [f"{start}, {_course(trained[0])}{hint}", *faults]
    return [f"{start}{hint}", *(f"  {one.name}: {_course(one)}" for one in trained), *faults]


def unmet(recipe: Recipe, options: Mapping[str, Any], tokens: Mapping[str, Any]) -> list[str]:
    """What the card stood on and this training does not, each with what to do about it."""
    card = recipe.conditions
    if card is None:
        return []
    found, command = [], "arena cache " if tokens["from"] == "cache" else ""
    here = (tokens["canvas"]["height"], tokens["canvas"]["width"])
    if card.canvas and card.canvas != here:
        wanted = "x".join(map(str, card.canvas))
        found.append(f"canvas {wanted}, here {here[0]}x{here[1]} (`{command}--canvas {wanted}`)")
    if not set(card.views) <= set(tokens["views"]):
        views = ",".join(card.views)
        found.append(f"views {views}, here {','.join(tokens['views'])} (`{command}--views {views}`)")
    for key, value in card.settings.items():
        now = options.get(key, getattr(recipe, key, None))
        found += [f"{key} {value}, here {now}"] if now != value else []
    found += [f"{key} ({how})" for key, how in card.options.items() if options.get(key) is None]
    return [f"not as the card trained: it had {'; '.join(found)}"] if found else []


def _canvas(setting: Setting) -> str:
    request, canvas = setting.request, setting.record["tokens"]["canvas"]
    chosen = request.cache is not None or request.canvas is not None
    return f"{canvas['height']}x{canvas['width']} ({canvas['fit']}{'' if chosen else ', by default'})"


def _course(one: Learner) -> str:
    """Rate, length, warm-up and stages of one head."""
    rates = sorted({one.recipe.lr, *one.recipe.sweep})
    rate = f"lr {rates[0]:g}" if len(rates) == 1 else f"lr {rates[0]:g} to {rates[-1]:g} (the best of {len(rates)})"
    warm = counted(round(one.recipe.warmup * one.phases[0].steps), "step")
    length = f"{one.epochs:.4g} epoch{'' if one.epochs == 1 else 's'} ({counted(one.steps, 'step')})"
    parts = [rate, length, f"warm-up {warm}"]
    parts += [f"the last {counted(phase.steps, 'step')} a stage at lr {phase.lr:g}" for phase in one.phases[1:]]
    return ", ".join(parts)
