"""Tokens from a backbone that runs now: the token source that needs no disk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from argus_core.canvas import Canvas, Placement
from argus_core.data import Split
from argus_core.errors import unknown
from argus_core.source import VIEWS, Item
from argus_core.tokens import Needs, Tokens

if TYPE_CHECKING:
    from argus_core.backbones.base import Backbone


class LiveSource:
    """The token source over a split's images; gives what a float32 cache of the same batches would, bit for bit."""

    def __init__(
        self, backbone: Backbone, split: Split, canvas: Canvas, needs: Needs, views: tuple[str, ...] = ("id",)
    ) -> None:
        for view in views:
            if view not in VIEWS:
                raise unknown("view", view, VIEWS)
        self.info, self.canvas, self.views = backbone.info, canvas, views
        self._backbone, self._split, self._needs = backbone, split, needs.resolve(backbone.info)
        self._sizes: dict[int, tuple[int, int]] = {}

    def __len__(self) -> int:
        return len(self._split)

    def read(self, items: Sequence[Item]) -> Tokens:
        """Read, render and encode the items' images; on the backbone's device."""
        canvases, placements = [], []
        for index, view in items:
            if view not in self.views:
                raise unknown("view", view, self.views)
            image = self._split.read(index)
            self._sizes[index] = (image.shape[0], image.shape[1])
            rendered, placement = self.canvas.render(image, mirrored=view == "hflip")
            canvases.append(rendered)
            placements.append(placement)
        extent = torch.tensor([placement.extent for placement in placements])
        return self._backbone.encode(torch.from_numpy(np.stack(canvases)), extent, self._needs)

    def placement(self, item: Item) -> Placement:
        """Where the item's image lies on the canvas; reads the image if it was not read before."""
        index, view = item
        if index not in self._sizes:
            height, width, _ = self._split.read(index).shape
            self._sizes[index] = (height, width)
        placement = self.canvas.place(*self._sizes[index])
        return placement.mirror() if view == "hflip" else placement
