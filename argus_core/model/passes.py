"""The runs of the backbone that a question about an image takes, and what they give."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple

from argus_core.backbones.base import Backbone, encode_rendered
from argus_core.canvas import Canvas
from argus_core.canvas.large import LargeCanvas, Merge
from argus_core.image.array import RGB
from argus_core.tokens import Needs, PlacedTokens
from argus_core.tokens.taps import EmbeddingLayers


@dataclass(frozen=True)
class Pass:
    """One run of the backbone over an image on ``canvas``, and the heads that share it.

    ``embedding`` are the layers that give embeddings, if they are asked of it. With ``merge="results"`` the tiles of a
    large canvas are runs of their own, whose answers are merged.
    """

    canvas: Canvas
    heads: tuple[str, ...]
    needs: Needs
    embedding: EmbeddingLayers | None = None
    merge: Merge = "tokens"


class Seen(NamedTuple):
    """What a pass gave: the images' numbers and tokens, and by number each head's predictions.

    There are no tokens of an image whose tiles were seen one by one.
    """

    group: Pass
    numbers: Sequence[int]
    placed: PlacedTokens | None
    predictions: Mapping[int, Mapping[str, Any]]


Members = list[tuple[Pass, int]]
"""Passes over images, with the number of each image."""


def by_canvas(passes: Sequence[Sequence[Pass]]) -> dict[tuple[Canvas, Merge], Members]:
    """The passes of each image that can share runs of the backbone; equal passes are neighbours."""
    groups: dict[tuple[Canvas, Merge], dict[Pass, Members]] = {}
    for number, own in enumerate(passes):
        for group in own:
            groups.setdefault((group.canvas, group.merge), {}).setdefault(group, []).append((group, number))
    return {shared: [*chain.from_iterable(equal.values())] for shared, equal in groups.items()}


def images_at_once(canvas: Canvas, cell: int, batch: int) -> int:
    """How many images on a canvas share a run of the backbone that takes ``batch`` canvases or tiles."""
    if canvas.tiles is None:
        return batch
    tiles = sum(1 for _ in canvas.tiles.cover(canvas.size, canvas.size, cell))
    return max(1, batch // tiles)


def encode_windows(
    backbone: Backbone, image: RGB, group: Pass, batch: int, lap: Callable[[str], None]
) -> Iterator[PlacedTokens]:
    """The tokens of every tile of an image, each a canvas of its own; ``batch`` of them at a time."""
    assert isinstance(group.canvas, LargeCanvas)
    pixels, _ = group.canvas.render(image)
    windows = [*group.canvas.windows(image.shape[0], image.shape[1])]
    for first in range(0, len(windows), batch):
        rendered = []
        for place in windows[first : first + batch]:
            (top, left), (height, width) = (int(-offset) for offset in place.offset), place.canvas_size
            rendered.append((pixels[top : top + height, left : left + width], place))
        placed = encode_rendered(backbone, rendered, group.needs)
        lap("backbone")
        yield placed
