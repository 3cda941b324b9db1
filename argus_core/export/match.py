"""Matching as a graph: the computation of ``argus_core.nn.matching``, with sizes that are tensors."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from argus_core.errors import ArgusError
from argus_core.export.graph import FAR
from argus_core.head import Head
from argus_core.nn.matching import EPS
from argus_core.tasks.correspond import DescriptorMaps


@dataclass(frozen=True)
class Axis:
    """One axis of enlarged descriptors: ``cells`` of a map, its enlarged ``size``, of which ``seen`` is image.

    ``last`` is the last cell with image; all but ``cells`` are 0-d float64 tensors. ``fine`` is enlarged per canvas
    pixels.
    """

    cells: int
    size: Tensor
    seen: Tensor
    last: Tensor
    fine: Tensor

    def weights(self, positions: Tensor) -> Tensor:
        """(N, cells), float64: the share of each cell at enlarged ``positions`` (N,), by bilinear interpolation."""
        place = positions * (self.cells / self.size) - 0.5
        place = torch.minimum(place.clamp(min=0), self.last)
        cell = torch.arange(self.cells, device=positions.device)
        return (1 - (place[:, None] - cell).abs()).clamp(min=0)


class Matcher(nn.Module):
    """Where points of one image lie in another, from the descriptors of both.

    Both lie on canvases of one size, whose longer side is enlarged to ``size`` pixels as the head's search says. The
    cosines of a point with all of them take ``size`` x ``size`` floats.
    """

    def __init__(self, stride: int, size: int) -> None:
        super().__init__()
        self.stride, self.size = stride, size

    def forward(self, first: Tensor, second: Tensor, points: Tensor, extents: Tensor) -> dict[str, Tensor]:
        """``matches`` (N, 2) and ``scores`` (N,), their cosines, of ``points`` (N, 2): x, y canvas pixels.

        ``first`` and ``second`` are descriptors (C, h, w); ``extents`` (2, 2) is where the images end (height, width),
        whole where 0.
        """
        here, there = (self._axes(maps, end) for maps, end in ((first, extents[0]), (second, extents[1])))
        cosines = self._similarity(second, there, _read(first, here, points.double()))  # (N, size, size)
        scores, index = cosines.flatten(1).max(dim=1)
        pixels = torch.stack([index % self.size, index // self.size], dim=1).double() + 0.5
        fine = torch.stack([there[1].fine, there[0].fine])
        return {"matches": (pixels / fine).float(), "scores": scores}

    def _similarity(self, maps: Tensor, axes: tuple[Axis, Axis], queries: Tensor) -> Tensor:
        """Cosines with every enlarged pixel, -2 where no image is."""
        pixels = torch.arange(self.size, device=maps.device)
        y, x = (axis.weights(pixels.double() + 0.5) for axis in axes)
        dots = torch.einsum("nc,chw->nhw", F.normalize(queries, dim=1, eps=EPS), maps)
        cosines = y.to(maps.dtype) @ dots @ x.to(maps.dtype).T * _per_length(maps, y, x).to(maps.dtype)
        seen = (pixels < axes[0].seen)[:, None] & (pixels < axes[1].seen)
        return torch.where(seen, cosines, -2.0)

    def _axes(self, maps: Tensor, extent: Tensor) -> tuple[Axis, Axis]:
        whole = torch.stack([_number(n, maps) for n in maps.shape[1:]]) * self.stride
        scale = self.size / whole.max()
        ends = torch.minimum(torch.where(extent > 0, extent, FAR).double(), whole)
        return self._axis(maps, 0, whole, scale, ends), self._axis(maps, 1, whole, scale, ends)

    def _axis(self, maps: Tensor, dim: int, whole: Tensor, scale: Tensor, ends: Tensor) -> Axis:
        pixels, cells = whole[dim], maps.shape[1 + dim]
        size = (pixels * scale).round().clamp(min=1)
        seen = torch.minimum((ends[dim] * size / pixels - 0.5).ceil().clamp(min=1), size)
        last = (seen * cells / size).ceil() - 1
        return Axis(cells, size, seen, last, size / pixels)


def matcher(head: Head, output: DescriptorMaps) -> Matcher:
    """The graph that matches a head's descriptors; raises ArgusError for a search that it cannot do.

    It does not check whether a match leads back: run it from the second image to the first for that.
    """
    search = output.search
    if search.refine != "none":
        raise ArgusError(
            f"head {head.name!r} matches with refine={search.refine!r}, which cannot be exported; build it with "
            "refine='none', which changes nothing but the search, or leave it out with --tasks"
        )
    return Matcher(output.stride, search.size)


def _read(maps: Tensor, axes: tuple[Axis, Axis], points: Tensor) -> Tensor:
    """(N, C): descriptors at canvas points (N, 2)."""
    y, x = (axis.weights(points[:, 1 - dim] * axis.fine).to(maps.dtype) for dim, axis in enumerate(axes))
    return torch.einsum("nhc,nh->nc", torch.einsum("chw,nw->nhc", maps, x), y)


def _per_length(maps: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """1 / length of each enlarged descriptor, float64, from dot products of neighbouring cells."""
    f = maps.double()
    own = (f * f).sum(dim=0)
    right, below = (f[:, :, 1:] * f[:, :, :-1]).sum(dim=0), (f[:, 1:] * f[:, :-1]).sum(dim=0)
    across = (f[:, 1:, 1:] * f[:, :-1, :-1] + f[:, 1:, :-1] * f[:, :-1, 1:]).sum(dim=0)
    y_pairs, x_pairs = (2 * weight[:, 1:] * weight[:, :-1] for weight in (y, x))
    square = (y.square() @ own + y_pairs @ below) @ x.square().T
    square = square + (y.square() @ right + y_pairs @ (across / 2)) @ x_pairs.T
    return square.clamp(min=EPS**2).rsqrt()


def _number(value: int, like: Tensor) -> Tensor:
    """A size as a 0-d float64 tensor that follows the graph's."""
    return torch.zeros((), dtype=torch.float64, device=like.device) + value
