"""Rows of classifiers with contributions, as runs leave them, from who is right on which image."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from argus_core.saving.contributions import write_contributions
from argus_core.tasks.classify import Classify
from argus_core.tasks.classify.metric import Accuracy

TASK = Classify(classes=("a", "b", "c"))


def accuracy(right: npt.ArrayLike) -> Accuracy:
    """The metric of images whose true class ranks first where ``right``, else second."""
    metric = TASK.metric()
    for number, one in enumerate(np.asarray(right)):
        metric.add(f"image{number:04}", [number % 3, int(not one)])
    return metric


def write_row(
    folder: Path, name: str, right: npt.ArrayLike, seed: int = 0, *, kept: bool = True, **more: Any
) -> dict[str, Any]:
    """Write the row of a classifier below a folder, with its contributions unless not ``kept``."""
    metric = accuracy(right)
    file = folder / f"seed{seed}" / name / "result.json"
    file.parent.mkdir(parents=True)
    saved = write_contributions(file, metric.contributions(), TASK, {}, "accuracy-1") if kept else None
    row = {
        "name": name,
        "head": f"classify.{name}",
        "task": "classify",
        "protocol": "accuracy-1",
        "primary": "top1",
        "higher_is_better": True,
        "metrics": {key: None if np.isnan(value) else value for key, value in metric.compute().items()},
        "parameters": 10,
        "options": {},
        "recipe": {},
        "seed": seed,
        "data": {"spec": "folder:x", "train": {"sha256": "t"}, "val": {"sha256": "d", "images": len(metric.keys())}},
        "tokens": {"from": "cache", "train": "c", "backbone": {"sha256": "w", "weights": None}},
        "notes": [],
        **({"contributions": saved} if saved else {}),
        **more,
    }
    file.write_text(json.dumps(row))
    return row
