"""How a head is trained on so many images: batch, rate, warm-up and length follow their number, or are the card's.

The rule is written down in docs/training.md; it knows the number of images and what was said, never the other heads.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

from argus_arena.run.config import RECIPE_FIELDS, HeadConfig, RunConfig, said
from argus_arena.run.sources import count_images
from argus_core.errors import ArgusError
from argus_core.plugins.hooks import Plugins
from argus_core.recipe import Recipe
from argus_core.saving.build import head_class, head_options

BATCHES = ((100_000, 64), (256, 16), (0, 8))
"""The batch from so many images on."""
LEAST, MOST = 600, 40_000
"""Steps of a training; fewer only where the card has fewer."""
WARMUP, WARMUP_STEPS = 0.05, 500
"""The warm-up is this share of the steps, at most so many, or the card's share where that is longer."""


def sized(config: RunConfig, plugins: Plugins) -> RunConfig:
    """The run with the recipes that its heads train by, and the canvas and views that cards ask of live tokens."""
    images = count_images(config.request, plugins)
    recipes, options = said(config.request)
    card = config.request.recipe == "card"
    suit = card_recipe if card else suited_recipe
    heads = {
        name: made.model_copy(
            update={
                "recipe": suit(head_class(made.head).recipe, made.recipe, recipes[name], images),
                "options": card_options(made, options[name]) if card else made.options,
            },
        )
        for name, made in config.heads.items()
    }
    return _as_cards_ask(config.model_copy(update={"heads": heads}))


def natural_batch(images: int) -> int:
    """Images per step, of so many in all."""
    return min(max(images, 1), next(batch for least, batch in BATCHES if images >= least))


def suited_recipe(card: Recipe, asked: Recipe, said: Collection[str], images: int) -> Recipe:
    """The recipe for so many images; of ``asked`` only the fields in ``said`` were asked for."""
    kept = {field: getattr(asked, field) for field in said}
    batch = kept.get("batch", natural_batch(images))
    per_epoch = _per_epoch(batch, images)
    length = {"epochs": _epochs(card, per_epoch), "steps": 0, "stages": (), "evaluations": 0, "evaluate_from": 0.0}
    suited = card.model_copy(update={"batch": batch, **length, "conditions": None} | kept)
    steps = suited.steps or suited.epochs * per_epoch
    factor = _rate_factor(card, batch, steps)
    rule = {
        "lr": _rounded(card.lr * factor),
        "sweep": tuple(_rounded(rate * factor) for rate in card.sweep),
        "warmup": max(card.warmup, min(WARMUP, WARMUP_STEPS / steps)) if card.warmup else 0.0,
    }
    return suited.model_copy(update=rule | kept)


def card_recipe(card: Recipe, asked: Recipe, said: Collection[str], images: int) -> Recipe:
    """The card's recipe; its stages keep their share of a training whose length was ``said``."""
    settings = card.conditions.settings if card.conditions else {}
    asked = asked.model_copy(update={k: v for k, v in settings.items() if k in RECIPE_FIELDS and k not in said})
    if not card.stages or "stages" in said or not {"epochs", "steps"} & set(said):
        return asked
    epochs = asked.steps / _per_epoch(asked.batch, images) if asked.steps else asked.epochs
    stages = tuple(stage.model_copy(update={"epochs": stage.epochs * epochs / card.epochs}) for stage in card.stages)
    return asked.model_copy(update={"stages": stages})


def card_options(made: HeadConfig, said: Collection[str]) -> dict[str, Any]:
    """A head's options with those of its card, but for the ones that were ``said``."""
    card = head_class(made.head).recipe.conditions
    settings = card.settings if card else {}
    taken = {k: v for k, v in settings.items() if k not in RECIPE_FIELDS and k not in said}
    return head_options(made.head, {**made.options, **taken})


def _per_epoch(batch: int, images: int) -> int:
    """Steps of an epoch, as ``Order`` counts them."""
    return max(1, images // min(batch, max(images, 1)))


def _epochs(card: Recipe, per_epoch: int) -> float:
    """Whole epochs: the card's, or more or fewer to stay within the bounds of steps."""
    most = min(MOST, card.steps or MOST)
    return max(1, min(max(math.ceil(card.epochs), math.ceil(min(LEAST, most) / per_epoch)), most // per_epoch))


def _rate_factor(card: Recipe, batch: int, steps: float) -> float:
    """By the noise of a smaller batch, and by the way that fewer steps than the card's must go, where it says those."""
    shorter = card.steps / max(steps, LEAST) if card.steps else 1.0
    return math.sqrt(batch / card.batch * max(1.0, shorter))


def _rounded(rate: float) -> float:
    """Three significant digits, so that records and commands show the rate itself."""
    return float(f"{rate:.3g}")


def _as_cards_ask(config: RunConfig) -> RunConfig:
    """Live tokens on the canvas and in the views of the cards, where the request leaves them open."""
    request = config.request
    asked = {name: made.recipe.conditions for name, made in config.heads.items() if made.recipe.conditions}
    if request.cache is not None or not asked:
        return config
    canvases = {name: one.canvas for name, one in asked.items() if one.canvas}
    if request.canvas is None and len(set(canvases.values())) > 1:
        shown = ", ".join(f"{name} {height}x{width}" for name, (height, width) in canvases.items())
        raise ArgusError(f"heads side by side share one canvas, and their cards have {shown}; say which with --canvas")
    found: dict[str, Any] = {}
    if request.canvas is None and canvases:
        found["canvas"] = "{}x{}".format(*next(iter(canvases.values())))
    views = [one.views for one in asked.values() if one.views]
    if not request.views and views:
        found["views"] = max(views, key=len)
    return config.model_copy(update={"request": request.model_copy(update=found)})
