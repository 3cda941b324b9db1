"""The backbone under test: built once, again where that matters, and images for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from argus_core.errors import ArgusError
from argus_core.tokens import Needs, Tokens

if TYPE_CHECKING:
    from argus_core.backbones import Backbone


CELLS = ((3, 5), (6, 4), (5, 7))
"""Rows and columns of the coarsest layer's cells: oblong both ways, and an odd grid."""


@dataclass(frozen=True)
class BackboneSubject:
    """A registered name, as ``load_backbone`` takes it, or a factory, with the options it is tested with."""

    target: str | Callable[..., Backbone]
    options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, target: str | Callable[..., Backbone], options: Mapping[str, Any] | None = None) -> BackboneSubject:
        """The subject; nothing is built yet. Raises ArgusError for what is neither a name nor a function."""
        if not isinstance(target, str) and not callable(target):
            raise ArgusError(f"{target!r} is no backbone: give a registered name or a function that makes a Backbone")
        return cls(target, options or {})

    def build(self, options: Mapping[str, Any] | None = None) -> Backbone:
        """A new instance, by default with the options that are tested."""
        from argus_core.backbones import Backbone, load_backbone

        options = self.options if options is None else options
        made = load_backbone(self.target, **options) if isinstance(self.target, str) else self.target(**options)
        assert isinstance(made, Backbone), f"the factory gives {type(made).__name__}, not argus_core.Backbone"
        return made

    @cached_property
    def backbone(self) -> Backbone:
        """The instance that checks share."""
        return self.build()

    @property
    def every(self) -> Needs:
        """The needs of maps and CLS vectors of all layers."""
        return Needs(tuple(range(self.backbone.info.depth)), cls=True)

    @property
    def unit(self) -> int:
        """The pixels of which the input must hold whole numbers."""
        return max(self.backbone.info.strides)

    def size(self, place: int = 0) -> tuple[int, int]:
        """One of several sizes of input (height, width) in pixels."""
        rows, columns = CELLS[place]
        return rows * self.unit, columns * self.unit

    def canvases(self, images: int, place: int = 0) -> Tensor:
        """Random bytes (B, H, W, 3)."""
        generator = torch.Generator().manual_seed(place)
        shape = (images, *self.size(place), 3)
        return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)

    def tokens(self, images: int = 2, place: int = 0, padded: bool = False) -> Tokens:
        """All that the backbone says of random images; if ``padded``, the last one ends before the canvas does."""
        return self.backbone.encode(self.canvases(images, place), self.extent(images, place, padded), self.every)

    def extent(self, images: int, place: int = 0, padded: bool = False) -> Tensor:
        """(B, 2): where the images end."""
        height, width = self.size(place)
        extent = torch.tensor((height, width)).repeat(images, 1)
        if padded:
            extent[-1] = torch.tensor((height - self.unit - 3, width // 2))
        return extent


def parts(tokens: Tokens) -> list[Tensor]:
    """Every map and prefix, in order of layer."""
    return [*(tokens.maps[k] for k in sorted(tokens.maps)), *(tokens.prefix[k] for k in sorted(tokens.prefix))]
