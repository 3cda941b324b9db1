"""Annotations, targets and predictions of metric depth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Metres = npt.NDArray[np.float32]


@dataclass(frozen=True)
class DepthTarget:
    """Metres (H, W) at every canvas pixel; 0 where nothing is known, as in padding."""

    depth: Tensor

    def to(self, device: torch.device | str) -> DepthTarget:
        """The same target on ``device``."""
        return DepthTarget(self.depth.to(device))


@dataclass(frozen=True)
class DepthMaps:
    """Depth and its standard deviation (h, w) of one canvas, in metres, of cells of ``stride`` canvas pixels."""

    depth: Tensor
    spread: Tensor
    stride: int


@dataclass(frozen=True)
class DepthMap:
    """Depth and its uncertainty (a standard deviation) at every image pixel (H, W), in metres.

    Both are 0 where no pass looked, as where a crop cut the image: nothing is claimed there.
    """

    depth: Tensor
    uncertainty: Tensor


def known_depth(truth: npt.NDArray[Any]) -> Metres:
    """The depth in float32, with 0 wherever it is not known."""
    values = np.asarray(truth, dtype=np.float32)
    return np.where(np.isfinite(values) & (values > 0), values, np.float32(0))
