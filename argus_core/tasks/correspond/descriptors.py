"""Dense descriptors of an image, and matching its points with those of another image."""

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
from argus_core.nn import Refine
from argus_core.nn.matching import Enlarged

Points = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Search:
    """How to search for a match: the most similar pixel of descriptors enlarged to ``size``.

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
    """The matches of points in another image: (N, 2) x, y in image pixels, and the cosines (N,); float64.

    A point that the canvas of its own image does not show is not matched: nan. ``mutual`` (N,) marks matches that
    lead back to within a cell of where they began; None unless matching in both directions was requested.
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
    device: torch.device | None = None

    def put(self, place: Placement) -> Described:
        """The same on the CPU, for the image at ``place``; matching still runs on the ``device`` it comes from."""
        return replace(self, maps=self.maps.cpu(), place=place, device=self.maps.device)

    @torch.no_grad()
    def match(self, other: Described, points: Points) -> Found:
        """The matches of points (N, 2) of this image in ``other``, both in image pixels, by this image's ``search``."""
        queries = self._placed.points_to_canvas(np.reshape(points, (-1, 2)))
        shown: npt.NDArray[np.bool_] = np.all((queries >= 0) & (queries <= self.extent[::-1]), axis=1)
        start = torch.from_numpy(np.where(shown[:, None], queries, 0.0))
        end, scores = self._find(other, start)
        mutual = None
        if self.search.mutual:
            back, _ = other._find(self, end)
            mutual = shown & ((back - start).norm(dim=1) <= self.stride).numpy()
        matches = np.where(shown[:, None], other._placed.points_to_image(end.numpy()), np.nan)
        return Found(matches, np.where(shown, scores.double().numpy(), np.nan), mutual)

    @torch.no_grad()
    def similarity(self, other: Described, points: Points) -> Tensor:
        """(N, rows, columns): cosines of points (N, 2) of this image with all of ``other``, which fill its ``window``.

        Both are in image pixels; a point that the canvas does not show counts as the nearest that it does.
        """
        queries = np.clip(self._placed.points_to_canvas(np.reshape(points, (-1, 2))), 0, self.extent[::-1])
        target = other.enlarged
        return target.similarity(self._features(torch.from_numpy(queries)).to(target.maps.device)).cpu()

    @property
    def window(self) -> tuple[float, float, float, float]:
        """The part of the image that descriptors exist of: x1, y1, x2, y2 in its pixels, at the scale of the search."""
        rows, columns = self.enlarged.seen
        far = torch.tensor([columns, rows], dtype=torch.float64) / self._fine
        corners = self._placed.points_to_image(np.stack([np.zeros(2), far.numpy()]))
        x1, y1, x2, y2 = corners.reshape(-1).tolist()
        return x1, y1, x2, y2

    def _find(self, other: Described, points: Tensor) -> tuple[Tensor, Tensor]:
        """The matches of canvas points (N, 2) in canvas pixels of ``other``, and their cosines."""
        target = other.enlarged
        matches, scores = target.nearest(self._features(points).to(target.maps.device), self.search.refine)
        return matches.cpu() / other._fine, scores.cpu()

    def _features(self, points: Tensor) -> Tensor:
        """(N, C): the descriptors at canvas points (N, 2)."""
        source = self.enlarged
        return source.at((points * self._fine).to(source.maps.device))

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
        pairs = zip(self._size, self._covered, strict=True)
        return torch.tensor([size / covered for size, covered in pairs], dtype=torch.float64).flip(0)

    @property
    def enlarged(self) -> Enlarged:
        """The descriptors at the resolution of the search; only pixels whose centres show the image can match."""
        if self.device is None or self.device == self.maps.device:
            return self._cached
        # On another device it is made anew for each search: those of a whole split would not fit on a GPU.
        return self._enlarge(self.maps.to(self.device))

    @cached_property
    def _cached(self) -> Enlarged:
        return self._enlarge(self.maps)

    @property
    def _size(self) -> tuple[int, int]:
        """Height and width of the descriptors when enlarged."""
        scale = self.search.size / max(self.canvas)
        height, width = (max(1, round(covered * scale)) for covered in self._covered)
        return height, width

    def _enlarge(self, maps: Tensor) -> Enlarged:
        size = self._size
        seen = [
            min(n, max(1, math.ceil(end * n / covered - 0.5)))
            for end, n, covered in zip(self.extent, size, self._covered, strict=True)
        ]
        return Enlarged(maps, size, (seen[0], seen[1]))
