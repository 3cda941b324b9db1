"""The geometry between image pixels and the pixels of the backbone's input, both ways."""

from argus_core.canvas.canvas import Canvas, Fit, Interpolation, Placement
from argus_core.canvas.framing import Flipped, Framing, Whole, Windows
from argus_core.canvas.large import Tiling
from argus_core.canvas.tiles import Tiles

__all__ = [
    "Canvas",
    "Fit",
    "Flipped",
    "Framing",
    "Interpolation",
    "Placement",
    "Tiles",
    "Tiling",
    "Whole",
    "Windows",
]
