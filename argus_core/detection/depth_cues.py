"""What depth tells of objects: where it changes, and that it should do so at the edges of boxes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from argus_core.processes import batch_total
from argus_core.tasks.detect import BoxTarget

CUES = 4

STEADY = 1e-3
"""Change of log depth per cell that counts as none."""


def depth_cues(depth: Tensor) -> Tensor:
    """(B, 4, h, w): log depth, and the magnitudes of its derivatives by x and y and of its Laplacian, per cell.

    ``depth`` (B, h, w) is positive and continued by its border. A common factor moves the first channel only.
    """
    log = depth.log()[:, None]
    wide = F.pad(log, (1, 1, 1, 1), mode="replicate")
    left, right = wide[..., 1:-1, :-2], wide[..., 1:-1, 2:]
    above, below = wide[..., :-2, 1:-1], wide[..., 2:, 1:-1]
    change = (right - left) / 2, (below - above) / 2, left + right + above + below - 4 * log
    return torch.cat([log, *(each.abs() for each in change)], dim=1)


def alignment(slope: Tensor, stride: int, targets: Sequence[BoxTarget]) -> Tensor:
    """Scalar in 0..1: the share of a box's mean slope of depth that lies inside it and not in cells its edge crosses.

    ``slope`` (B, h, w) is not negative, in cells of ``stride`` pixels; the mean is over boxes that hold whole cells.
    """
    shares = torch.cat([_shares(one, stride, target) for one, target in zip(slope, targets, strict=True)])
    return shares.sum() / batch_total(torch.tensor(len(shares), device=slope.device))


def _shares(slope: Tensor, stride: int, target: BoxTarget) -> Tensor:
    """(G',): one number per box with whole cells inside."""
    boxes = target.boxes[~target.crowd] / stride
    sides = [_span(boxes[:, k::2], cells) for k, cells in ((1, slope.shape[0]), (0, slope.shape[1]))]
    touched, inside = (rows[:, :, None] & cols[:, None] for rows, cols in zip(*sides, strict=True))  # (G, h, w)
    holds = inside.flatten(1).any(dim=1)
    means = []
    for cells in (inside[holds], (touched & ~inside)[holds]):
        means.append((slope * cells).sum(dim=(1, 2)) / cells.sum(dim=(1, 2)).clamp(min=1))
    return means[0] / (means[0] + means[1] + STEADY)


def _span(span: Tensor, cells: int) -> tuple[Tensor, Tensor]:
    """Which of ``cells`` cells of an axis the spans (G, 2) touch, and which they hold whole: (G, cells) each."""
    start = torch.arange(cells, device=span.device)
    return (start < span[:, 1:]) & (start + 1 > span[:, :1]), (start >= span[:, :1]) & (start + 1 <= span[:, 1:])
