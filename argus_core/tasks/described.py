"""Dense descriptors of one image, and where its points lie in another."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from argus_core.canvas import Placement
from argus_core.errors import ArgusError
from argus_core.matching import Enlarged, Refine

__all__ = ["Described", "DescriptorMaps", "Found", "Search"]

Points = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Search:
    """How a match is looked for: the most similar pixel of descriptors enlarged to ``size``.

    ``size`` is what the longer side of the canvas is enlarged to. ``refine`` moves a match between the pixels,
    ``mutual`` also matches back.
    """

    size: int = 512
    refine: Refine = "none"
    mutual: bool = False


@dataclass(frozen=True)
class DescriptorMaps:
    """Descriptors (B, C, h, w) of cells of ``stride`` canvas pixels; the images end at ``extent`` (B, 2)."""

    maps: Tensor
    stride: int
    extent: Tensor
    search: Search


@dataclass(frozen=True)
class Found:
    """Where points of one image lie in another: (N, 2) x, y in image pixels, and the cosines (N,); float64.

    A point that the canvas of its own image does not show is not matched: nan. ``mutual`` (N,) tells which matches
    lead back to within a cell of where they began; None if that was not asked for.
    """

    points: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float64]
    mutual: npt.NDArray[np.bool_] | None


@dataclass(frozen=True)
class Described:
    """Descriptors (C, h, w) of one image, of cells of ``stride`` pixels, on a canvas of (height, width) pixels.

    The image ends at ``extent`` (height, width); nothing beyond is matched. ``place`` leads to its own pixels.
    """

    maps: Tensor
    stride: int
    extent: tuple[int, int]
    canvas: tuple[int, int]
    search: Search
    place: Placement | None = None

    def put(self, place: Placement) -> Described:
        """The same on the CPU, of the image that lies at ``place``."""
        return replace(self, maps=self.maps.cpu(), place=place)

    @torch.no_grad()
    def match(self, other: Described, points: Points) -> Found:
        """Where points (N, 2) of this image lie in ``other``, both in image pixels, searched as this one says."""
        asked = self._placed.points_to_canvas(np.reshape(points, (-1, 2)))
        shown: npt.NDArray[np.bool_] = np.all((asked >= 0) & (asked <= self.extent[::-1]), axis=1)
        start = torch.from_numpy(np.where(shown[:, None], asked, 0.0))
        end, scores = self._find(other, start)
        mutual = None
        if self.search.mutual:
            back, _ = other._find(self, end)
            mutual = shown & ((back - start).norm(dim=1) <= self.stride).numpy()
        there = np.where(shown[:, None], other._placed.points_to_image(end.numpy()), np.nan)
        return Found(there, np.where(shown, scores.double().numpy(), np.nan), mutual)

    def _find(self, other: Described, points: Tensor) -> tuple[Tensor, Tensor]:
        """The matches of canvas points (N, 2) in the other's canvas pixels, and their cosines."""
        queries = self.enlarged.at(points * self._fine)
        found, scores = other.enlarged.nearest(queries, self.search.refine)
        return found / other._fine, scores

    @property
    def _placed(self) -> Placement:
        if self.place is None:
            raise ArgusError("these descriptors know no image: call task.to_image(described, placement) first")
        return self.place

    @property
    def _covered(self) -> tuple[int, int]:
        """Height and width of all cells in canvas pixels; the last ones may overhang the canvas."""
        return self.maps.shape[1] * self.stride, self.maps.shape[2] * self.stride

    @cached_property
    def _fine(self) -> Tensor:
        """(2,): enlarged pixels per canvas pixel along x, y."""
        pairs = zip(self.enlarged.size, self._covered, strict=True)
        return torch.tensor([size / covered for size, covered in pairs], dtype=torch.float64).flip(0)

    @cached_property
    def enlarged(self) -> Enlarged:
        """The descriptors at the resolution of the search; of its pixels those count whose centres show image."""
        scale = self.search.size / max(self.canvas)
        size = [max(1, round(covered * scale)) for covered in self._covered]
        seen = [
            min(n, max(1, math.ceil(end * n / covered - 0.5)))
            for end, n, covered in zip(self.extent, size, self._covered, strict=True)
        ]
        return Enlarged(self.maps, (size[0], size[1]), (seen[0], seen[1]))
