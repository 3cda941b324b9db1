"""Values that head, task and metric exchange: maps of vectors, and their normalisation."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

AXES = (0.0, 0.0, -1.0)
"""The normal of a surface that faces the camera; x is right, y down, z forward."""


@dataclass(frozen=True)
class NormalTarget:
    """Unit vectors (3, H, W) at every canvas pixel; 0 where unknown, as in padding."""

    normals: Tensor

    def to(self, device: torch.device | str) -> NormalTarget:
        """The same target on ``device``."""
        return NormalTarget(self.normals.to(device))


@dataclass(frozen=True)
class RawNormals:
    """A head's output: vectors (B, 3, h, w) of any length, in cells of ``stride`` canvas pixels.

    ``extent`` (B, 2) is where the images end, in canvas pixels.
    """

    vectors: Tensor
    stride: int
    extent: Tensor


@dataclass(frozen=True)
class CellNormals:
    """Unit vectors (3, h, w) of one canvas, in cells of ``stride`` canvas pixels."""

    normals: Tensor
    stride: int


@dataclass(frozen=True)
class NormalMap:
    """Unit vectors (3, H, W) at every image pixel; 0 where no pass covered the image, as outside a crop."""

    normals: Tensor


def unit(vectors: Tensor, dim: int) -> Tensor:
    """Vectors along ``dim`` normalised to length 1, in float32; zero vectors face the camera."""
    vectors = vectors.float()
    length = vectors.norm(dim=dim, keepdim=True)
    shape = [1] * vectors.ndim
    shape[dim] = 3
    ahead = torch.tensor(AXES, device=vectors.device).view(shape)
    return torch.where(length > 1e-6, vectors / length.clamp(min=1e-6), ahead)


def mirrored(vectors: Tensor) -> Tensor:
    """The vectors (3, ...) of the mirrored image."""
    return torch.cat([-vectors[:1], vectors[1:]])
