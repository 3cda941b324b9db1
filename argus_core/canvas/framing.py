"""Ways to cover an image with one or more canvases for scoring and prediction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from argus_core.canvas.canvas import Interpolation, Placement, shorten
from argus_core.errors import ArgusError


class Framing(Protocol):
    """The passes over an image; ``Canvas`` is the framing with a single pass."""

    @property
    def interpolation(self) -> Interpolation:
        """How pixels are resampled."""
        ...

    def passes(self, height: int, width: int) -> Sequence[Placement]:
        """The placement of an image of ``height`` x ``width`` pixels on the canvas of each pass."""
        ...


@dataclass(frozen=True)
class Windows:
    """Overlapping square windows over an image whose short side was resized to ``short`` pixels.

    Windows of ``window`` pixels lie ``stride`` apart; the last of a row or column is moved back inside.
    """

    short: int
    window: int
    stride: int
    interpolation: Interpolation = "bilinear"

    def __post_init__(self) -> None:
        if not 0 < self.stride <= self.window:
            raise ArgusError(f"windows of {self.window} px at a stride of {self.stride} px do not cover an image")

    def passes(self, height: int, width: int) -> tuple[Placement, ...]:
        """A placement per window, row by row; an image smaller than a window is padded to the right and below."""
        whole = shorten(height, width, self.short)
        scale = (whole[0] / height, whole[1] / width)
        canvas = (self.window, self.window)
        return tuple(
            Placement((height, width), canvas, scale, (float(-y), float(-x)))
            for y in self._starts(whole[0])
            for x in self._starts(whole[1])
        )

    def _starts(self, length: int) -> list[int]:
        steps = max(0, -(-(length - self.window) // self.stride))
        return [max(0, min(step * self.stride, length - self.window)) for step in range(steps + 1)]


@dataclass(frozen=True)
class Whole:
    """The whole image at a short side of ``short`` pixels on a canvas whose sides are multiples of ``multiple``.

    The aspect is kept, so images of different aspects get different canvases.
    """

    short: int
    multiple: int = 16
    interpolation: Interpolation = "bilinear"

    def passes(self, height: int, width: int) -> tuple[Placement, ...]:
        """One placement, padded to the right and below up to the next multiple."""
        whole = shorten(height, width, self.short)
        canvas = (-(-whole[0] // self.multiple) * self.multiple, -(-whole[1] // self.multiple) * self.multiple)
        return (Placement((height, width), canvas, (whole[0] / height, whole[1] / width)),)


@dataclass(frozen=True)
class Flipped:
    """Every pass of another framing, and the same passes over the mirrored image."""

    framing: Framing

    @property
    def interpolation(self) -> Interpolation:
        """That of the framing."""
        return self.framing.interpolation

    def passes(self, height: int, width: int) -> tuple[Placement, ...]:
        """The passes of the image, then those of its mirror image."""
        upright = tuple(self.framing.passes(height, width))
        return upright + tuple(place.mirror() for place in upright)
