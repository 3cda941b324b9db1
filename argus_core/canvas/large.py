"""Canvases that are as large as an image asks for, and the tiles that a user asks for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias, TypedDict, get_args

from argus_core.canvas.canvas import Canvas, Placement
from argus_core.canvas.tiles import Tile, Tiles
from argus_core.errors import ArgusError

TileSide: TypeAlias = "int | Literal['auto']"
"""How many pixels of an image a tile shows on its long side; ``auto``: as many as the canvas has."""
Merge = Literal["tokens", "results"]
"""What of the tiles is put together: their tokens, before heads read them, or the answers about each of them."""


class TileOptions(TypedDict, total=False):
    """The fields of a ``Tiling`` as keywords; ``tiles=None`` is none."""

    tiles: TileSide | None
    overlap: float
    merge: Merge


MAX_ENLARGEMENT = 2.0
"""By how much tiles may be enlarged: an image has no detail to show below its own pixels."""


@dataclass(frozen=True)
class LargeCanvas(Canvas):
    """A canvas for images of one size, shown whole at ``scale``; ``cell`` is the largest cell of the backbone in px."""

    scale: float = field(default=1.0, kw_only=True)
    cell: int = field(default=1, kw_only=True)

    def _resized(self, height: int, width: int) -> tuple[int, int]:
        return _scaled(height, self.scale), _scaled(width, self.scale)

    def windows(self, height: int, width: int) -> Iterator[Placement]:
        """The placement of every tile, as a canvas of its own, of an image of ``height`` x ``width`` pixels."""
        whole = self.place(height, width)
        for rows, columns in self.cover(whole):
            place = replace(whole, canvas_size=(rows.size, columns.size))
            yield replace(place, offset=(float(-rows.start), float(-columns.start)))

    def cover(self, place: Placement) -> Iterator[Tile]:
        """The tiles of an image that is placed on this canvas."""
        assert self.tiles is not None
        return self.tiles.cover(self.size, place.extent, self.cell)


@dataclass(frozen=True)
class Tiling:
    """How large images are looked at: tiles that show ``tiles`` px of the image on the long side of the usual canvas.

    Neighbours overlap by the share ``overlap`` at least. Heads run once on the tokens of all tiles, or with
    ``merge="results"`` on each tile, whose answers are merged. Images that fit into one tile are seen as usual.
    """

    tiles: TileSide = "auto"
    overlap: float = 0.2
    merge: Merge = "tokens"

    def __post_init__(self) -> None:
        whole = isinstance(self.tiles, int) and not isinstance(self.tiles, bool)
        if self.tiles != "auto" and not (whole and int(self.tiles) > 0):
            raise ArgusError(f"tiles={self.tiles!r} is neither auto nor a number of pixels of the image, such as 640")
        if self.merge not in get_args(Merge):
            raise ArgusError(f"merge={self.merge!r} is not one of {', '.join(get_args(Merge))}")
        Tiles(1, overlap=self.overlap)

    def canvas(self, usual: Canvas, image: tuple[int, int], cell: int) -> Canvas:
        """The canvas for an ``image`` (height, width), in cells of ``cell`` px, where heads were trained on ``usual``.

        That is ``usual`` itself if the image fits into one tile. Raises ArgusError for tiles that are enlarged too far.
        """
        height, width = (max(cell, side // cell * cell) for side in (usual.tiles or usual).size)
        tiles = Tiles(height, width, overlap=self.overlap)
        scale = self._scale(max(tiles.size))
        whole = _scaled(image[0], scale), _scaled(image[1], scale)
        if not tiles.cut(whole):
            return usual
        rows, columns = (-(-side // cell) * cell for side in whole)
        return LargeCanvas(rows, columns, interpolation=usual.interpolation, tiles=tiles, scale=scale, cell=cell)

    def _scale(self, side: int) -> float:
        """Canvas pixels per pixel of the image, for tiles whose long side has ``side`` px."""
        scale = 1.0 if self.tiles == "auto" else side / int(self.tiles)
        if scale > MAX_ENLARGEMENT:
            least = -(-side // int(MAX_ENLARGEMENT))
            raise ArgusError(
                f"tiles of {self.tiles} px would be enlarged {scale:.1f} times, to the {side} px that heads were "
                f"trained on; give at least {least}, or auto for {side}"
            )
        return scale


def _scaled(side: int, scale: float) -> int:
    return max(1, round(side * scale))


def tiling_of(options: TileOptions, usual: Tiling | None) -> Tiling | None:
    """The tiling that keywords ask for, over the ``usual`` one; raises ArgusError for an overlap of no tiles."""
    if unknown := set(options) - set(TileOptions.__annotations__):
        raise TypeError(f"unexpected keyword argument {min(unknown)!r}")
    values: dict[str, Any] = dict(options)
    if (values.get("tiles", usual) is None) and values.keys() - {"tiles"}:
        names = " and ".join(sorted(values.keys() - {"tiles"}))
        raise ArgusError(f"{names} has nothing to act on without tiles: add tiles='auto', or a number of pixels")
    if not values or values.get("tiles", usual) is None:
        return None if "tiles" in values else usual
    return replace(usual or Tiling(), **values)
