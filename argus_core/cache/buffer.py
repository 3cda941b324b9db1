"""Memory that is used again: for a batch of token grids, and for the bytes of one read."""

from __future__ import annotations

import torch
from torch import Tensor


class Buffer:
    """A (B, h, w, C) tensor filled image by image; cells without image are zero once a slot was taken."""

    def __init__(self, shape: tuple[int, ...], dtype: torch.dtype) -> None:
        self.tensor = torch.empty(shape, dtype=dtype)
        self._dirty = [(shape[1], shape[2])] * shape[0]

    def __len__(self) -> int:
        return len(self._dirty)

    def take(self, index: int, grid: tuple[int, int]) -> Tensor:
        """The top left ``grid`` (rows, columns) of a slot, to be written; zeroes what was left around it."""
        slot, (rows, cols), (old_rows, old_cols) = self.tensor[index], grid, self._dirty[index]
        slot[rows:old_rows, :old_cols].zero_()
        slot[:rows, cols:old_cols].zero_()
        self._dirty[index] = grid
        return slot[:rows, :cols]


class Scratch:
    """A block of bytes per tensor name, as large as the largest read so far; every use overwrites the one before."""

    def __init__(self) -> None:
        self._blocks: dict[str, Tensor] = {}

    def take(self, name: str, size: int) -> Tensor:
        """The first ``size`` bytes of the name's block, uint8."""
        held = self._blocks.get(name)
        if held is None or len(held) < size:
            held = self._blocks[name] = torch.empty(size, dtype=torch.uint8)
        return held[:size]
