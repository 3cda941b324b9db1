"""The interface of token sources: a cache on disk, or a backbone that runs live."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import torch

from argus_core.canvas import Canvas, Placement
from argus_core.tokens.types import FeatureInfo, Tokens

Item = tuple[int, str]
"""One pass over one image: its index in the split, and the view (``id`` or ``hflip``, or a pass's number)."""
VIEWS = ("id", "hflip")


class PlacedTokens(NamedTuple):
    """The tokens of a batch, and where each of its images lies on the canvas."""

    tokens: Tokens
    placements: Sequence[Placement]

    def to(self, device: torch.device | str) -> PlacedTokens:
        """The same with the tokens on ``device``."""
        return PlacedTokens(self.tokens.to(device), self.placements)


class TokenSource(Protocol):
    """Random access to the tokens of a split's images."""

    info: FeatureInfo
    canvas: Canvas
    views: tuple[str, ...]
    skipped: Mapping[int, str]
    """Images without tokens, by index, and why."""

    def __len__(self) -> int:
        """Number of images of the split."""
        ...

    def read(self, items: Sequence[Item]) -> PlacedTokens:
        """The tokens and placements of some items as a batch, in the order of ``items``."""
        ...

    def passes(self, index: int) -> list[Item]:
        """The items that are read to score an image."""
        ...
