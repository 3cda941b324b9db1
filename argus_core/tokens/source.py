"""Where tokens come from: a cache on disk or a backbone running live give the same thing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from argus_core.canvas import Canvas, Placement
from argus_core.tokens.types import FeatureInfo, Tokens

Item = tuple[int, str]
"""One pass over one image: its index in the split, and the view (``id`` or ``hflip``, or a pass's number)."""
VIEWS = ("id", "hflip")


class TokenSource(Protocol):
    """Random access to the tokens of a split's images."""

    info: FeatureInfo
    canvas: Canvas
    views: tuple[str, ...]

    def __len__(self) -> int:
        """Number of images of the split."""
        ...

    def read(self, items: Sequence[Item]) -> Tokens:
        """The tokens of some items as a batch, in the order asked."""
        ...

    def passes(self, index: int) -> list[Item]:
        """The items that are looked at when an image is scored."""
        ...

    def placement(self, item: Item) -> Placement:
        """Where the item's image lies on the canvas."""
        ...
