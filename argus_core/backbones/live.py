"""Token sources that run a backbone whenever they are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from argus_core.backbones.base import Backbone, encode_rendered
from argus_core.canvas import Canvas, Framing, Placement
from argus_core.canvas.canvas import render
from argus_core.canvas.tiled import Tiled
from argus_core.data import Split
from argus_core.data.split import guarded
from argus_core.errors import unknown
from argus_core.tokens import Item, Needs, PlacedTokens
from argus_core.tokens.source import VIEWS

MAX_WAITING = 512 << 20
"""Bytes of decoded images that wait for their passes."""


class FramedSource:
    """Tokens of a split's images under any framing; an item's view is the number of its pass, as text.

    An image that was decoded for its size, or that has further passes, is kept until its last pass was read, so that
    it is decoded once. Beyond ``MAX_WAITING`` bytes the oldest images are dropped, and decoded again if needed.
    """

    def __init__(self, backbone: Backbone, split: Split, framing: Framing, needs: Needs) -> None:
        self.info = backbone.info
        self.skipped: Mapping[int, str] = {}
        self._backbone, self._split, self._framing = backbone, split, framing
        self._needs = needs.resolve(backbone.info)
        self._tiles = framing.tiles if isinstance(framing, Canvas | Tiled) else None
        self._sizes: dict[int, tuple[int, int]] = {}
        self._waiting: dict[int, npt.NDArray[np.uint8]] = {}

    def __len__(self) -> int:
        return len(self._split)

    def passes(self, index: int) -> list[Item]:
        """The items of every pass over an image."""
        return [(index, str(number)) for number in range(len(self._framing.passes(*self._size(index))))]

    def placement(self, item: Item) -> Placement:
        """Where the item's image lies on the canvas; reads the image if it was not read before."""
        return self._framing.passes(*self._size(item[0]))[int(item[1])]

    def read(self, items: Sequence[Item]) -> PlacedTokens:
        """Read, render and encode the items' images, on the backbone's device; all canvases must be of one size."""
        images = {index: self._image(index) for index, _ in items}
        rendered = []
        for item in items:
            placement = self.placement(item)
            rendered.append((render(images[item[0]], placement, self._framing.interpolation), placement))
            if self._is_last(item):
                self._waiting.pop(item[0], None)
        return encode_rendered(self._backbone, rendered, self._needs, self._tiles)

    def _is_last(self, item: Item) -> bool:
        """Whether no further pass over an image follows this one."""
        return item == self.passes(item[0])[-1]

    def _size(self, index: int) -> tuple[int, int]:
        if index not in self._sizes:
            self._image(index)
        return self._sizes[index]

    def _image(self, index: int) -> npt.NDArray[np.uint8]:
        if index in self._waiting:
            return self._waiting[index]
        with guarded(self._split):
            image = self._split.read(index)
        self._sizes[index] = (image.shape[0], image.shape[1])
        self._waiting[index] = image
        while sum(waiting.nbytes for waiting in self._waiting.values()) > MAX_WAITING:
            self._waiting.pop(next(iter(self._waiting)))
        return image


class LiveSource(FramedSource):
    """The token source of a split's images; bit for bit the tokens of a float32 cache of the same batches."""

    def __init__(
        self, backbone: Backbone, split: Split, canvas: Canvas, needs: Needs, views: tuple[str, ...] = ("id",)
    ) -> None:
        for view in views:
            if view not in VIEWS:
                raise unknown("view", view, VIEWS)
        super().__init__(backbone, split, canvas, needs)
        self.canvas, self.views = canvas, views

    def _is_last(self, item: Item) -> bool:
        return True  # items are shuffled, so another view of the image comes much later

    def passes(self, index: int) -> list[Item]:
        """One pass over the image as it is."""
        return [(index, "id")]

    def placement(self, item: Item) -> Placement:
        """Where the item's image lies on the canvas; reads the image if it was not read before."""
        index, view = item
        if view not in self.views:
            raise unknown("view", view, self.views)
        placement = self.canvas.place(*self._size(index))
        return placement.mirror() if view == "hflip" else placement
