"""The result row of a head: scores with everything they depend on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from argus_arena.scoring.cost import image_cost
from argus_arena.scoring.evaluate import usable
from argus_arena.scoring.rules import Scoring
from argus_arena.training.learner import Learner
from argus_arena.training.notices import unmet
from argus_core.common.tensors import tensors_sha256
from argus_core.head import Head
from argus_core.tasks import Metric


def head_fields(name: str, head: Head, metric: Metric, protocol: str) -> dict[str, Any]:
    """What every row says of a head and of how it is scored."""
    return {
        "name": name,
        "head": head.name,
        "task": head.task.name,
        "protocol": protocol,
        "primary": metric.primary,
        "higher_is_better": metric.higher_is_better,
        "parameters": sum(p.numel() for p in head.parameters()),
        "options": head.options,
    }


def result_row(
    learner: Learner,
    scores: Mapping[str, Any],
    scoring: Scoring,
    read_seconds: float,
    record: Mapping[str, Any],
    notes: Sequence[str],
) -> dict[str, Any]:
    """The row of a head that was scored; ``notes`` and ``record`` are what all rows of its run say."""
    head, best = learner.head, scores["best"]
    return {
        **head_fields(learner.name, head, scoring.metric(head.task), scoring.rules(head.task)),
        "metrics": scores["reported"],
        "selected": {**best, "candidates": scores["candidates"]},
        "last": scores.get("last"),
        "contributions": scores.get("contributions"),
        "calibration": scores.get("calibration"),
        **({"sweep": scores["sweep"]} if "sweep" in scores else {}),
        **({} if learner.failure else _image_cost(scoring, head)),
        "recipe": learner.recipe.model_dump(mode="json"),
        "steps": learner.steps,
        "epochs": learner.epochs,
        "train_seconds": round(learner.seconds, 2),
        "read_seconds": round(read_seconds, 2),
        "seed": learner.seed,
        "weights_sha256": tensors_sha256(learner.weights(learner.last(best["variant"])).state_dict()),
        "notes": [*head.notes(), *notes, *_reservations(learner, scoring, record)],
        **record,
    }


def _image_cost(scoring: Scoring, head: Head) -> dict[str, Any]:
    """The cost of the first image that was scored."""
    first = scoring.passes(usable(scoring.source)[0])[:1]
    device = next((t.device for t in (*head.parameters(), *head.buffers())), torch.device("cpu"))
    return image_cost(head, scoring.source.read(first).tokens.to(device))


def _reservations(learner: Learner, scoring: Scoring, record: Mapping[str, Any]) -> list[str]:
    """Reasons why the scores of this row and those of others are not on equal terms."""
    total = len(scoring.source)
    left_out = total - len(usable(scoring.source))
    texts = [f"scored without {left_out} of {total} images, which the cache skipped"] if left_out else []
    texts += unmet(learner.recipe, learner.head.options, record["tokens"])
    return [*texts, *([f"stopped early: {learner.failure}"] if learner.failure else [])]
