"""What heads that are solved share: moments of labelled tokens, and a note on classes that no label shows."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from argus_core.nn import Moments
from argus_core.tasks.classify import ClassTarget


def class_moments(inputs: Tensor, targets: Sequence[ClassTarget], classes: int) -> Moments:
    """Moments of [input, indicators of its class], for inputs (B, d)."""
    labels = torch.stack([target.label for target in targets])
    return Moments.of(torch.cat([inputs, F.one_hot(labels, classes)], dim=1))


def share_moments(maps: Tensor, counts: Tensor, stride: int) -> Moments:
    """Moments of [cell, shares of its classes], for cells of ``maps`` (B, d, h, w) with labelled pixels.

    A cell counts by its pixels ``counts`` (B, h, w, K) of each class, which may be weighted, over those of a cell.
    """
    total = counts.sum(dim=3)
    labelled = total > 0
    shares = counts[labelled] / total[labelled][:, None]
    return Moments.of(torch.cat([maps.permute(0, 2, 3, 1)[labelled], shares], dim=1), total[labelled] / stride**2)


def unseen_classes(what: str, classes: Sequence[str], seen: Tensor) -> list[str]:
    """A note with the classes of which there are no ``what``, where ``seen`` (K,) bool says so of some."""
    missing = [name for name, is_seen in zip(classes, seen.tolist(), strict=True) if not is_seen]
    return [f"no {what} of the classes {', '.join(missing)}"] if missing else []
