"""Features with known correspondence for tests."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from argus_core.canvas import Placement
from argus_core.tasks.correspond import Described, Search


def smooth(
    grid: tuple[int, int],
    shift: tuple[float, float] = (0.0, 0.0),
    noise: float = 0.0,
    seed: int = 0,
    channels: int = 48,
) -> Tensor:
    """(C, h, w) of a random field of waves, read at cells moved by ``shift`` (rows, columns), each with its noise."""
    generator = torch.Generator().manual_seed(seed)
    waves = torch.randn(channels, 24, 2, generator=generator) / 1.5
    phase = 2 * math.pi * torch.rand(channels, 24, generator=generator)
    y, x = (torch.arange(n) + s for n, s in zip(grid, shift, strict=True))
    angles = waves[:, :, 0, None, None] * y[:, None] + waves[:, :, 1, None, None] * x + phase[:, :, None, None]
    generator.manual_seed(seed + 1 + round(1000 * abs(shift[0])))
    return angles.cos().sum(dim=1) + noise * torch.randn(channels, *grid, generator=generator)


def described(maps: Tensor, place: Placement, stride: int = 16, **search: object) -> Described:
    """Descriptors of a canvas that the cells just cover."""
    given = Search(**{"size": max(place.canvas_size), **search})  # type: ignore[arg-type]
    return Described(maps, stride, place.extent, place.canvas_size, given).put(place)
