"""The most likely class of every pixel and its probability, from tiles of logits that stay in the cache."""

from __future__ import annotations

import torch
from torch import Tensor

from argus_core.nn import Plane

STEEP = 3e38
"""Turns any distance from the largest logit into more than the number of classes."""


def classify(logits: Plane) -> tuple[Tensor, Tensor]:
    """The class (H, W), long, of the largest logit at every pixel of the image, and its probability by softmax.

    The first of equal logits counts.
    """
    classes = logits.channels
    left, total = (torch.empty(logits.image_size, device=logits.count.device) for _ in range(2))
    ranks = torch.arange(classes, 0, -1, dtype=torch.float32, device=total.device)[:, None]
    room: Tensor | None = None
    for rows, columns, tile in logits.tiles():
        below = tile.float()
        below.sub_(below.amax(dim=1, keepdim=True))
        room = torch.empty_like(below).flatten() if room is None else room  # the first tile is the largest
        steep = torch.add(ranks, below, alpha=STEEP, out=room[: below.numel()].view(below.shape))
        # The largest has no distance and keeps its rank; ``max`` with indices is several times slower on a CPU.
        torch.amax(steep, dim=1, out=left[rows, columns])
        torch.sum(below.exp_(), dim=1, out=total[rows, columns])
    # Logits that are not numbers have a class too.
    return (classes - left).long().clamp_(0, classes - 1), total.reciprocal_()
