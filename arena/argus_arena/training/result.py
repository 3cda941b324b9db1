"""The result row of a head: scores with everything they depend on."""

from __future__ import annotations

from typing import Any

import torch

from argus_arena.run.config import RunConfig
from argus_arena.run.context import Setting
from argus_arena.scoring.cost import image_cost
from argus_arena.scoring.evaluate import usable
from argus_arena.training.learner import Learner
from argus_arena.training.loop import Loop
from argus_arena.training.recipe_lines import unmet
from argus_core.common.tensors import tensors_sha256
from argus_core.head import Head


def result_rows(config: RunConfig, setting: Setting, loop: Loop) -> dict[str, dict[str, Any]]:
    """One row per head that was scored."""
    rows = {}
    for learner in loop.learners:
        if "best" in loop.checkpoints.scores[learner.name]:
            rows[learner.name] = _row(config, setting, learner, loop)
    return rows


def _row(config: RunConfig, setting: Setting, learner: Learner, loop: Loop) -> dict[str, Any]:
    scores = loop.checkpoints.scores[learner.name]
    head = learner.head
    metric = setting.scoring.metric(head.task)
    return {
        "name": learner.name,
        "head": head.name,
        "task": head.task.name,
        "protocol": setting.scoring.rules(head.task),
        "primary": metric.primary,
        "higher_is_better": metric.higher_is_better,
        "metrics": scores["best"]["metrics"],
        "selected": {**{k: scores["best"][k] for k in ("step", "variant")}, "best_of": scores["evaluations"]},
        "last": scores["last"],
        **({"sweep": scores["sweep"]} if "sweep" in scores else {}),
        "parameters": sum(p.numel() for p in head.parameters()),
        **({} if learner.failure else _image_cost(setting, head)),
        "options": head.options,
        "recipe": config.heads[learner.name].recipe.model_dump(mode="json"),
        "steps": learner.steps,
        "epochs": learner.epochs,
        "train_seconds": round(learner.seconds, 2),
        "read_seconds": round(loop.read_seconds, 2),
        "seed": config.request.seed,
        "weights_sha256": tensors_sha256(learner.weights(learner.last(scores["best"]["variant"])).state_dict()),
        "notes": [*head.notes(), *_warnings(setting, learner)],
        **setting.record,
    }


def _image_cost(setting: Setting, head: Head) -> dict[str, Any]:
    """The cost of the first image that was scored."""
    scoring = setting.scoring
    first = scoring.passes(usable(scoring.source)[0])[:1]
    device = next((t.device for t in (*head.parameters(), *head.buffers())), torch.device("cpu"))
    return image_cost(head, scoring.source.read(first).tokens.to(device))


def _warnings(setting: Setting, learner: Learner) -> list[str]:
    """What keeps the row from standing beside others as an equal."""
    total = len(setting.scoring.source)
    left_out = total - len(usable(setting.scoring.source))
    found = [*setting.notes]
    found += [f"scored without {left_out} of {total} images, which the cache skipped"] if left_out else []
    found += unmet(learner.recipe, learner.head.options, setting.record["tokens"])
    return [*found, *([f"stopped early: {learner.failure}"] if learner.failure else [])]
