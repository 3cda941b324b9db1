"""Every image of a data set on a canvas as large as it asks for, encoded by tiles."""

from __future__ import annotations

from dataclasses import dataclass

from argus_core.canvas.canvas import Canvas, Interpolation, Placement
from argus_core.canvas.large import Tiling
from argus_core.canvas.tiles import Tiles

ENDLESS = (1 << 20, 1 << 20)
"""An image that no tile shows whole."""


@dataclass(frozen=True)
class Tiled:
    """The framing of ``tiling`` for heads that were trained on the canvas ``usual``, where smaller images are placed.

    ``cell`` is the largest cell of the backbone in px.
    """

    usual: Canvas
    tiling: Tiling
    cell: int

    @property
    def interpolation(self) -> Interpolation:
        """That of the usual canvas."""
        return self.usual.interpolation

    @property
    def tiles(self) -> Tiles | None:
        """The tiles of all large canvases."""
        return self.tiling.canvas(self.usual, ENDLESS, self.cell).tiles

    def passes(self, height: int, width: int) -> tuple[Placement, ...]:
        """One pass over the whole image."""
        return self.tiling.canvas(self.usual, (height, width), self.cell).passes(height, width)
