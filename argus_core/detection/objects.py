"""The annotated objects of a batch, where crowds are left out."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from argus_core.detection.geometry import positions
from argus_core.processes import batch_total
from argus_core.tasks.detect import BoxTarget

__all__ = ["object_total", "without_crowds"]


def without_crowds(targets: Sequence[BoxTarget]) -> list[BoxTarget]:
    """The targets without their crowd regions."""
    crowds = torch.stack([target.crowd.sum() for target in targets]).tolist()
    kept = [positions(~t.crowd, len(t.crowd) - crowd) for t, crowd in zip(targets, crowds, strict=True)]
    return [BoxTarget(t.boxes[k], t.labels[k], t.crowd[k]) for t, k in zip(targets, kept, strict=True)]


def object_total(targets: Sequence[BoxTarget]) -> Tensor:
    """The number of boxes in the batch, without crowds, as a loss's normaliser: at least 1, the mean over processes."""
    return batch_total(torch.stack([(~target.crowd).sum() for target in targets]).sum())
