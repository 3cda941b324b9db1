"""What the pixels along one axis are mixed of: bilinear, from cells to the canvas and from there to the image."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.integer[Any]]
Shares = npt.NDArray[np.float64]


class Reading(NamedTuple):
    """The values, by index, that each of N points is mixed of, and their shares: (T, N) each, for T values a point."""

    indices: Indices
    share: Shares

    def weighted(self, weights: Shares) -> Reading:
        """The same of values that are multiplied by ``weights`` before they are read."""
        return Reading(self.indices, self.share * weights[self.indices])

    def block(self, part: slice) -> tuple[slice, Shares]:
        """The span of the values that the points of ``part`` are mixed of, and the shares as (points, values)."""
        indices, share = self.indices[:, part], self.share[:, part]
        read = indices[share > 0]
        span = slice(int(read.min()), int(read.max()) + 1) if read.size else slice(0, 0)
        shares = np.zeros((indices.shape[1], span.stop - span.start))
        value, point = np.nonzero(share > 0)
        np.add.at(shares, (point, indices[value, point] - span.start), share[value, point])
        return span, shares


def between(places: Shares, length: int) -> Reading:
    """Linear interpolation among ``length`` values at ``places`` (N,), which count from the first value's centre."""
    places = places.clip(0, length - 1)
    low = np.floor(places).astype(np.int64)
    return Reading(np.stack([low, np.minimum(low + 1, length - 1)]), np.stack([1 - places + low, places - low]))


def resized(length: int, size: int, seen: slice) -> Reading:
    """``length`` values at the centres of ``size`` pixels over the same span; beyond ``seen`` its border repeats."""
    read = between((np.arange(size) + 0.5) * length / size - 0.5, length)
    return read._replace(indices=read.indices.clip(seen.start, seen.stop - 1))


def through_cells(plane: Reading, part: slice, stride: int, cells: int, mirrored: bool = False) -> Reading:
    """A reading of the pixels of a plane as one of the cells of ``stride`` pixels that cover ``part`` of it.

    Mirrored cells count from the end of ``part``. Pixels elsewhere have no share.
    """
    pixels = part.stop - 1 - plane.indices if mirrored else plane.indices - part.start
    inside = (plane.indices >= part.start) & (plane.indices < part.stop)
    cell = between((pixels.reshape(-1) + 0.5) / stride - 0.5, cells)
    share = cell.share.reshape(2, *pixels.shape) * (plane.share * inside)
    return Reading(cell.indices.reshape(-1, pixels.shape[1]), share.reshape(-1, pixels.shape[1]))
