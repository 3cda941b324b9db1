"""How a head is trained on so many images: batch, rate, warm-up and length follow their number, or are the card's.

The rule, written down in docs/training.md, knows the number of images and the settings, never the other heads.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

from argus_arena.run.config import RECIPE_FIELDS, HeadConfig, RunConfig, settings_by_head
from argus_core.errors import ArgusError
from argus_core.recipe import Recipe
from argus_core.saving.build import head_class, head_options

BATCHES = ((100_000, 64), (256, 16), (0, 8))
"""The batch from so many images on."""
LEAST, MOST = 600, 40_000
"""Steps of a training; fewer only where the card has fewer."""
WARMUP, WARMUP_STEPS = 0.05, 500
"""The warm-up is this share of the steps, at most so many, or the card's share where that is longer."""


def sized(config: RunConfig, images: int) -> RunConfig:
    """The run with the recipes that its heads train by, and the canvas and views that cards ask of live tokens."""
    card = config.request.recipe == "card"
    recipe_for = card_recipe if card else suited_recipe
    settings = settings_by_head(config.request)
    heads = {}
    for name, head in config.heads.items():
        fields, options = settings[name]
        recipe = recipe_for(head_class(head.head).recipe, head.recipe, fields, images)
        update = {"recipe": recipe, "options": card_options(head, options) if card else head.options}
        heads[name] = head.model_copy(update=update)
    return _with_conditions(config.model_copy(update={"heads": heads}))


def natural_batch(images: int) -> int:
    """Images per step, of so many in all."""
    return min(max(images, 1), next(batch for least, batch in BATCHES if images >= least))


def suited_recipe(card: Recipe, wanted: Recipe, settings: Collection[str], images: int) -> Recipe:
    """The recipe for so many images; of ``wanted`` only the fields in ``settings`` were set."""
    kept = {field: getattr(wanted, field) for field in settings}
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


def card_recipe(card: Recipe, wanted: Recipe, settings: Collection[str], images: int) -> Recipe:
    """The card's recipe with the fields in ``settings``; stages keep their share of a training of another length."""
    conditions = card.conditions.settings if card.conditions else {}
    update = {key: value for key, value in conditions.items() if key in RECIPE_FIELDS and key not in settings}
    wanted = wanted.model_copy(update=update)
    if not card.stages or "stages" in settings or not {"epochs", "steps"} & set(settings):
        return wanted
    epochs = wanted.steps / _per_epoch(wanted.batch, images) if wanted.steps else wanted.epochs
    stages = tuple(stage.model_copy(update={"epochs": stage.epochs * epochs / card.epochs}) for stage in card.stages)
    return wanted.model_copy(update={"stages": stages})


def card_options(head: HeadConfig, settings: Collection[str]) -> dict[str, Any]:
    """A head's options with those of its card, but for the ones in ``settings``."""
    card = head_class(head.head).recipe.conditions
    conditions = card.settings if card else {}
    update = {key: value for key, value in conditions.items() if key not in RECIPE_FIELDS and key not in settings}
    return head_options(head.head, {**head.options, **update})


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


def _with_conditions(config: RunConfig) -> RunConfig:
    """Live tokens on the canvas and in the views of the cards, where the request leaves them open."""
    request = config.request
    cards = {name: head.recipe.conditions for name, head in config.heads.items() if head.recipe.conditions}
    if request.cache is not None:
        return config
    update: dict[str, Any] = {}
    canvases = {name: card.canvas for name, card in cards.items() if card.canvas}
    if request.canvas is None and canvases:
        if len(set(canvases.values())) > 1:
            shown = ", ".join(f"{name} {height}x{width}" for name, (height, width) in canvases.items())
            raise ArgusError(
                f"heads side by side share one canvas, and their cards have {shown}; say which with --canvas"
            )
        update["canvas"] = "{}x{}".format(*next(iter(canvases.values())))
    views = [card.views for card in cards.values() if card.views]
    if not request.views and views:
        update["views"] = max(views, key=len)
    return config.model_copy(update={"request": request.model_copy(update=update)})
