"""Objects as peaks of heat maps: drawing them, their loss, and finding the peaks (Law 2018; Zhou 2019)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from argus_core.detection.blocks import group_norm
from argus_core.detection.geometry import covers, grid_points
from argus_core.errors import ArgusError
from argus_core.tasks.detect import BoxTarget
from argus_core.tokens import cell_mask

HEAT_PRIOR = 0.1
"""Initial score of heat maps."""
CHUNK = 256
"""Objects that are drawn at once, to limit memory."""


class SmoothUpGN(nn.Sequential):
    """4 x 4 transposed convolution, GroupNorm, GELU: (B, C, h, w) to (B, width, 2h, 2w), neighbours overlapping."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__(nn.ConvTranspose2d(channels, width, 4, 2, 1), group_norm(width), nn.GELU())


def finer_stride(stride: int, times: int) -> int:
    """``stride`` in pixels of a map that is enlarged ``times``; raises ArgusError if it is not a whole number."""
    if stride % times:
        raise ArgusError(f"a stride of {stride} px does not divide by {times}: take another backbone or layer")
    return stride // times


def gaussian_radius(sides: Tensor, overlap: float = 0.7) -> Tensor:
    """(...) how far both corners of a box with ``sides`` (..., 2) may be off, in any direction, at this IoU.

    The smallest root of: both corners moved alike, both inwards, both outwards.
    """
    total, area = sides.sum(dim=-1), sides.prod(dim=-1)
    alike = (total - (total**2 - 4 * area * (1 - overlap) / (1 + overlap)).clamp(min=0).sqrt()) / 2
    inwards = (total - (total**2 - 4 * area * (1 - overlap)).clamp(min=0).sqrt()) / 4
    outwards = ((total**2 + 4 * area * (1 - overlap) / overlap).sqrt() - total) / 4
    return torch.stack([alike, inwards, outwards]).amin(dim=0)


def cells_of(xy: Tensor, stride: int, extent: Tensor) -> Tensor:
    """(G, 2) row and column of the cells of points (G, 2: x, y); points on the image's end are in its last cell."""
    last = (extent - 1).div(stride, rounding_mode="floor")
    return torch.minimum((xy.flip(-1) / stride).floor().long().clamp(min=0), last)


def draw(cells: Tensor, boxes: Tensor, labels: Tensor, shape: tuple[int, int, int], stride: int) -> Tensor:
    """(K, h, w) with 1 at ``cells`` (G, 2) and a Gaussian around as wide as ``boxes`` (G, 4) allow.

    It ends at the box's radius, its deviation is a sixth of the diameter, and per class the larger value counts.
    """
    radius = gaussian_radius((boxes[:, 2:] - boxes[:, :2]) / stride).floor()[:, None]
    heat = torch.zeros(shape, device=boxes.device)
    axes = []
    for cell, length in zip(cells.T, shape[1:], strict=True):
        away = (torch.arange(length, device=boxes.device) - cell[:, None]).abs()  # (G, length)
        axes.append(torch.exp(-(away**2) / (2 * ((2 * radius + 1) / 6) ** 2)) * (away <= radius))
    flat = heat.flatten(1)
    for *parts, label in zip(*(axis.split(CHUNK) for axis in axes), labels.split(CHUNK), strict=True):
        gaussians = (parts[0][:, :, None] * parts[1][:, None, :]).flatten(1)
        flat = flat.scatter_reduce(0, label[:, None].expand_as(gaussians), gaussians, "amax")
    return flat.view(shape)


def counted_cells(targets: Sequence[BoxTarget], extent: Tensor, stride: int, grid: tuple[int, int]) -> Tensor:
    """(B, 1, h, w) bool: cells that hold image and whose middle lies in no crowd."""
    points = grid_points([grid], [stride], extent.device)
    crowds = [(covers(t.boxes, points.xy) & t.crowd[:, None]).any(dim=0).view(grid) for t in targets]
    return cell_mask(extent, stride, grid) & ~torch.stack(crowds)[:, None]


def heat_loss(logits: Tensor, heat: Tensor, counted: Tensor) -> Tensor:
    """The sum over (B, K, h, w) of the penalty-reduced focal loss; divide it by the number of objects.

    Cells at 1 are positive wherever they are, others count where ``counted`` (B, 1, h, w), less near a peak.
    """
    yes, no = F.logsigmoid(logits), F.logsigmoid(-logits)
    positive = heat == 1
    missed = no.exp() ** 2 * yes
    invented = (1 - heat) ** 4 * yes.exp() ** 2 * no
    return -torch.where(positive, missed, torch.where(counted, invented, 0)).sum()


def peaks(logits: Tensor, counted: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The ``count`` best local maxima of (B, K, h, w), or fewer where cells are: (B, n) scores and flat indices.

    A peak is at least as high as its eight neighbours; other cells, and those not ``counted`` (B, 1, h, w), score 0.
    """
    scores = logits.float().sigmoid() * counted
    top = torch.where(F.max_pool2d(scores, 3, 1, 1) == scores, scores, 0).flatten(1)
    values, index = top.topk(min(count, top.shape[1]), dim=1)
    return values, index


def locate(index: Tensor, grid: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
    """Label, cell (row * w + column) and (..., 2) column and row of flat indices into (K, h, w)."""
    cell = index % (grid[0] * grid[1])
    return index // (grid[0] * grid[1]), cell, torch.stack([cell % grid[1], cell // grid[1]], dim=-1)
