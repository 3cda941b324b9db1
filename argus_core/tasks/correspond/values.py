"""Annotations and targets of a semantic correspondence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor


@dataclass(frozen=True)
class Matches:
    """Points ``source`` (N, 2) of one image and ``target`` (N, 2) of another that are the same: x, y image pixels.

    ``box`` (x1, y1, x2, y2) holds the target's object, ``sizes`` are those of both images (height, width); None
    where they are not annotated. Only points that both images show are listed.
    """

    source: npt.NDArray[np.float64]
    target: npt.NDArray[np.float64]
    box: tuple[float, float, float, float] | None = None
    category: str = ""
    sizes: tuple[tuple[int, int], tuple[int, int]] | None = None


@dataclass(frozen=True)
class Landmarks:
    """Points (K, 2) of one image on the canvas, in an order that all images share."""

    points: Tensor

    def to(self, device: torch.device | str) -> Landmarks:
        """The same points on ``device``."""
        return Landmarks(self.points.to(device))
