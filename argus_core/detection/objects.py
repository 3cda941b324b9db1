"""The annotated objects of a batch, where crowds are left out."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from argus_core.processes import batch_total
from argus_core.tasks.detect import BoxTarget

__all__ = ["object_total", "without_crowds"]


def without_crowds(targets: Sequence[BoxTarget]) -> list[BoxTarget]:
    """The targets without their crowd regions."""
    return [BoxTarget(t.boxes[~t.crowd], t.labels[~t.crowd], t.crowd[~t.crowd]) for t in targets]


def object_total(objects: Sequence[BoxTarget]) -> Tensor:
    """The number of boxes in the whole batch as a loss's normaliser: at least 1, the mean over processes."""
    return batch_total(torch.tensor(sum(len(t.boxes) for t in objects), device=objects[0].boxes.device))
