"""How a head is trained on so many images: batch, rate, warm-up and length follow their number, or are the card's.

The rule, written down in docs/training.md, knows the number of images and the settings, never the other heads.
"""

from __future__ import annotations

import math
from collections.abc import Collection

from argus_core.recipe import Recipe

FIELDS = tuple(field for field in Recipe.model_fields if field != "conditions")
"""The fields of a recipe that settings may change."""
BATCHES = ((100_000, 64), (256, 16), (0, 8))
"""The batch from so many images on."""
LEAST, MOST = 600, 40_000
"""Steps of a training; fewer only where the card has fewer."""
WARMUP, WARMUP_STEPS = 0.05, 500
"""The warm-up is this share of the steps, at most so many, or the card's share where that is longer."""


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
    update = {key: value for key, value in conditions.items() if key in FIELDS and key not in settings}
    wanted = wanted.model_copy(update=update)
    if not card.stages or "stages" in settings or not {"epochs", "steps"} & set(settings):
        return wanted
    epochs = wanted.steps / _per_epoch(wanted.batch, images) if wanted.steps else wanted.epochs
    stages = tuple(stage.model_copy(update={"epochs": stage.epochs * epochs / card.epochs}) for stage in card.stages)
    return wanted.model_copy(update={"stages": stages})


def _per_epoch(batch: int, images: int) -> int:
    """Steps of an epoch, as ``Order`` counts them."""
    return max(1, images // min(batch, max(images, 1)))


def _epochs(card: Recipe, per_epoch: int) -> float:
    """Whole epochs: the card's, or more or fewer to stay within the bounds of steps."""
    most = min(MOST, card.steps or MOST)
    return max(1, min(max(math.ceil(card.epochs), math.ceil(min(LEAST, most) / per_epoch)), most // per_epoch))


def _rate_factor(card: Recipe, batch: int, steps: float) -> float:
    """The factor on the card's rate: the root of the ratio of batches, times the root of how many times fewer steps."""
    shorter = card.steps / max(steps, LEAST) if card.steps else 1.0
    return math.sqrt(batch / card.batch * max(1.0, shorter))


def _rounded(rate: float) -> float:
    """Three significant digits, so that records and commands show the rate itself."""
    return float(f"{rate:.3g}")
