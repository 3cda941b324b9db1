"""Learnable landmarks for correspondence, and descriptors that match them without fault."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from argus_core.canvas import Placement
from argus_core.tasks.correspond.descriptors import Described, Search
from argus_core.tasks.correspond.values import Matches
from argus_core.tokens import FeatureInfo

LANDMARKS = 4
"""Points that the images of an example share."""


def paint(points: Tensor, info: FeatureInfo, layer: int, canvas: tuple[int, int], generator: torch.Generator) -> Tensor:
    """(B, C, h, w): noise, and in the cells of ``points`` (B, LANDMARKS, 2) the vector of each landmark."""
    grid, width = info.grid(canvas, layer), info.channels[layer]
    cells = 0.3 * torch.randn(len(points), *grid, width, generator=generator)
    x, y = (points / info.strides[layer]).long().unbind(dim=2)
    cells[torch.arange(len(points))[:, None], y, x] += 3 * torch.randn(LANDMARKS, width, generator=generator)
    return cells.permute(0, 3, 1, 2)


def draw_matches(size: tuple[int, int], generator: torch.Generator) -> Matches:
    """Landmarks in the quarters of two images of ``size`` (height, width), not in the same order."""
    quarter = torch.stack([torch.randperm(4, generator=generator)[:LANDMARKS] for _ in range(2)])
    inner = 0.25 + 0.5 * torch.rand(2, LANDMARKS, 2, generator=generator, dtype=torch.float64)
    half = torch.tensor(size).flip(0) / 2
    source, target = ((torch.stack([quarter % 2, quarter // 2], dim=2) + inner) * half).numpy()
    return Matches(source, target, (0.0, 0.0, float(size[1]), float(size[0])), sizes=(size, size))


def describe(points: npt.NDArray[np.float64], placement: Placement) -> Described:
    """Descriptors (N + 1, H, W) of every canvas pixel: how near it is to each point (N, 2), and a constant."""
    height, width = placement.canvas_size
    y, x = torch.arange(height) + 0.5, torch.arange(width) + 0.5
    centre = torch.from_numpy(placement.points_to_canvas(points)).float()
    square = (x - centre[:, :1])[:, None] ** 2 + (y - centre[:, 1:])[:, :, None] ** 2
    maps = torch.cat([(-square / 8).exp(), torch.full((1, height, width), 0.1)])
    return Described(maps, 1, placement.extent, placement.canvas_size, Search(max(height, width)))
