"""Maps of a backbone's cells, cut to what shows the image and enlarged to its pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from torch import Tensor

from argus_core.errors import ArgusError

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Cells:
    """Tokens (C, h, w), float64 on the CPU, of cells of ``stride`` canvas pixels, each of which shows image.

    The image ends at ``extent`` (height, width) canvas pixels, which the last cells may overhang.
    """

    tokens: Tensor
    stride: int
    extent: tuple[int, int]

    @classmethod
    def of(cls, maps: Tensor, stride: int, extent: tuple[int, int] | None) -> Cells:
        """The cells of ``maps`` within ``extent``, or all; raises ArgusError if it holds nothing or there are less."""
        if maps.ndim != 3 or not maps.numel() or stride < 1:
            raise ArgusError(f"tokens to draw are (C, h, w) of cells of 1 or more pixels, not {tuple(maps.shape)}")
        covered = (maps.shape[1] * stride, maps.shape[2] * stride)
        height, width = (int(end) for end in extent or covered)
        if not (0 < height <= covered[0] and 0 < width <= covered[1]):
            raise ArgusError(f"an extent of {height}x{width} px is not within the cells' {covered[0]}x{covered[1]} px")
        tokens = maps[:, : math.ceil(height / stride), : math.ceil(width / stride)].detach().cpu().double()
        if not tokens.isfinite().all():
            raise ArgusError("the tokens are not finite and cannot be drawn")
        return cls(tokens, stride, (height, width))

    def enlarge(self, values: Array, size: tuple[int, int], smooth: bool = True) -> npt.NDArray[np.float32]:
        """(h, w) numbers of the cells at (height, width) pixels over the extent."""
        box = (0.0, 0.0, self.extent[1] / self.stride, self.extent[0] / self.stride)
        method = Image.Resampling.BILINEAR if smooth else Image.Resampling.NEAREST
        small = Image.fromarray(np.ascontiguousarray(values, dtype=np.float32))
        return np.asarray(small.resize((size[1], size[0]), method, box=box))

    def at(self, point: tuple[float, float], size: tuple[int, int]) -> tuple[int, int]:
        """Row and column of the cell at x, y pixels of the image, of ``size`` (height, width) pixels."""
        if not (0 <= point[0] <= size[1] and 0 <= point[1] <= size[0]):
            raise ArgusError(f"point {tuple(point)} (x, y) is not in the image of {size[1]} x {size[0]} pixels")
        places = [p / n * end / self.stride for p, n, end in zip(point[::-1], size, self.extent, strict=True)]
        row, column = (min(int(place), n - 1) for place, n in zip(places, self.tokens.shape[1:], strict=True))
        return row, column
