"""Overlapping tiles that cover a canvas, and which of them answers for which part of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, NamedTuple

from argus_core.errors import ArgusError


class Span(NamedTuple):
    """A tile along one axis: it reads ``size`` pixels from ``start``, and answers for those of ``own``."""

    start: int
    size: int
    own: slice


class Tile(NamedTuple):
    """A tile of a canvas: its rows and its columns."""

    rows: Span
    columns: Span


@dataclass(frozen=True)
class Tiles:
    """The size of tiles in canvas pixels, and the share of a side by which neighbours overlap at least.

    ``Tiles(640)`` are square. A canvas that fits into one tile is not cut. ``batch`` tiles are encoded at once.
    """

    height: int
    width: int = 0
    overlap: float = field(default=0.2, kw_only=True)
    batch: int = field(default=8, kw_only=True, compare=False)

    def __post_init__(self) -> None:
        if self.width == 0:
            object.__setattr__(self, "width", self.height)
        if min(self.size) < 1:
            raise ArgusError(f"tiles of {self.height}x{self.width} px are empty; give positive sizes")
        if not 0 <= self.overlap < 1:
            raise ArgusError(f"an overlap of {self.overlap} is no share of a tile; give 0 or more, and less than 1")
        if self.batch < 1:
            raise ArgusError(f"{self.batch} tiles at once are none; give 1 or more")

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.height, self.width

    @property
    def label(self) -> str:
        """Such as ``tiles of 640x640, overlap 0.2``."""
        return f"tiles of {self.height}x{self.width}, overlap {self.overlap:g}"

    def cut(self, canvas: tuple[int, int]) -> bool:
        """Whether a canvas (height, width) is larger than a tile."""
        return any(side > tile for side, tile in zip(canvas, self.size, strict=True))

    def cover(self, canvas: tuple[int, int], extent: tuple[int, int], cell: int) -> Iterator[Tile]:
        """The tiles, row by row, of a ``canvas`` whose image ends at ``extent``; none lies in padding alone.

        They begin at multiples of ``cell`` px and are spread evenly. Every pixel belongs to the tile whose centre is
        nearest to it in each axis, up to ``cell``. Raises ArgusError for tiles that do not divide into cells.
        """
        self.check(cell)
        rows, columns = (
            list(self._spans(min(side, -(-end // cell) * cell), min(tile, side), cell))
            for side, end, tile in zip(canvas, extent, self.size, strict=True)
        )
        return (Tile(row, column) for row in rows for column in columns)

    def check(self, cell: int) -> None:
        """Raise ArgusError, with the nearest sizes, unless tiles divide into cells of ``cell`` px."""
        if any(side % cell for side in self.size):
            sizes = dict.fromkeys(
                "x".join(str(max(1, side // cell + more) * cell) for side in self.size) for more in (0, 1)
            )
            raise ArgusError(
                f"tiles of {self.height}x{self.width} px (height x width) do not divide into the backbone's cells of "
                f"{cell} px; the nearest sizes are {' and '.join(sizes)}"
            )

    def _spans(self, length: int, size: int, cell: int) -> Iterator[Span]:
        """Tiles of ``size`` px along an axis of ``length``; the last one ends where the axis does."""
        far = max(0, length - size)
        step = max(cell, int(size * (1 - self.overlap)) // cell * cell)
        gaps = -(-far // step)
        starts = [far * i // max(1, gaps) // cell * cell for i in range(gaps)] + [far]
        seams = [(before + size + after) // 2 // cell * cell for before, after in pairwise(starts)]
        for start, first, last in zip(starts, [0, *seams], [*seams, length], strict=True):
            yield Span(start, size, slice(first, last))

    def by(self, batch: int) -> Tiles:
        """The same tiles, ``batch`` of them encoded at once."""
        return replace(self, batch=batch)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values of what tokens depend on; ``Tiles(**tiles.to_dict())`` is the inverse."""
        return {"height": self.height, "width": self.width, "overlap": self.overlap}
