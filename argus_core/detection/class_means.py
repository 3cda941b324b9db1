"""The mean feature of what lies in the boxes of a class: class vectors without text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from argus_core.detection.geometry import centres, covers, grid_points
from argus_core.tasks.detect import BoxTarget
from argus_core.tokens import Features, cell_mask


def cells_in(boxes: Tensor, xy: Tensor, held: Tensor) -> Tensor:
    """(G, N) bool: which cells, of centres ``xy`` (N, 2), lie in (G, 4) boxes; in a box without any, its nearest one.

    Only cells that are ``held`` (N,) count.
    """
    inside = covers(boxes, xy) & held
    distance = (centres(boxes)[:, None] - xy).square().sum(dim=-1).masked_fill(~held, torch.inf)
    nearest = F.one_hot(distance.argmin(dim=1), len(xy)).bool()
    return torch.where(inside.any(dim=1, keepdim=True), inside, nearest)


def box_sums(features: Features, boxes: Sequence[Tensor], centre: Tensor, stride: int) -> list[Tensor]:
    """Per image (G, C) float64: sums over the cells of each box (G, 4) of unit(feature - ``centre`` (C,))."""
    rows, cols = features.map.shape[2:]
    xy = grid_points([(rows, cols)], [stride], features.map.device).xy
    held = cell_mask(features.extent, stride, (rows, cols)).flatten(1)  # (B, N)
    units = F.normalize(
        features.map.double().flatten(2) - centre.to(features.map).double()[:, None], dim=1
    )  # (B, C, N)
    each = zip(boxes, held, units, strict=True)
    return [cells_in(of.to(xy), xy, cells).double() @ unit.T for of, cells, unit in each]


def mean_feature(batches: Iterable[tuple[Features, Sequence[BoxTarget]]], stride: int) -> Tensor:
    """(C,) float64 mean over all cells that hold image."""
    total, cells = torch.zeros(()), torch.zeros(())
    for features, _ in batches:
        grid = (features.map.shape[2], features.map.shape[3])
        cells = cells + cell_mask(features.extent, stride, grid).sum().cpu()
        total = total + features.map.double().sum(dim=(0, 2, 3)).cpu()  # padding is zero
    return total / cells.clamp(min=1)


def class_means(
    batches: Iterable[tuple[Features, Sequence[BoxTarget]]], classes: int, centre: Tensor, stride: int
) -> Tensor:
    """(classes, C) unit vectors, float64: the direction of each class's cells from ``centre``; crowds do not count.

    A class without boxes has a zero vector. Large objects have more cells, and so more weight.
    """
    sums = torch.zeros(classes, len(centre), dtype=torch.float64)
    for features, targets in batches:
        kept = [~target.crowd for target in targets]
        found = box_sums(features, [t.boxes[k] for t, k in zip(targets, kept, strict=True)], centre, stride)
        labels = torch.cat([t.labels[k] for t, k in zip(targets, kept, strict=True)])
        sums.index_add_(0, labels.cpu(), torch.cat(found).cpu())
    return F.normalize(sums, dim=1)
