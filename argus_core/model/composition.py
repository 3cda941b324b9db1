"""Predictions of heads that share one frozen backbone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import reduce
from itertools import groupby
from operator import itemgetter, or_
from typing import TYPE_CHECKING, Any

import torch

from argus_core.backbones.base import encode_rendered
from argus_core.canvas import Canvas, Placement
from argus_core.canvas.large import LargeCanvas, TileOptions, tiling_of
from argus_core.errors import ArgusError
from argus_core.head import Head
from argus_core.image import ImageSource, read_image
from argus_core.model.heads import Heads
from argus_core.model.images import as_list, check_images
from argus_core.model.passes import Members, Pass, Seen, by_canvas, encode_windows, images_at_once
from argus_core.model.room import check_room
from argus_core.tokens import Needs, PlacedTokens, Tokens

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Composition(Heads):
    """Heads over one frozen backbone, run on images: tokens first, then predictions in pixels of each image."""

    def features(
        self,
        images: ImageSource | Sequence[ImageSource],
        canvas: Canvas | None = None,
        needs: Needs | None = None,
        **tiles: Unpack[TileOptions],
    ) -> Tokens:
        """The tokens of one image or a list of them, for ``run_heads`` or a cache of one's own; one backbone pass.

        Raises ArgusError for images that ask for canvases of different sizes by ``tiles``.
        """
        pictures, usual = [*map(read_image, as_list(images))], canvas or self._one_canvas()
        tiling = tiling_of(tiles, self.tiling)
        canvases = {self.canvas_for(usual, (own.shape[0], own.shape[1]), tiling) for own in pictures}
        if len(canvases) > 1:
            raise ArgusError("by tiles these images take canvases of different sizes: ask for one image at a time")
        return self.tokens(pictures, next(iter(canvases), usual), needs).tokens

    def tokens(
        self,
        images: Sequence[ImageSource],
        canvas: Canvas | None = None,
        needs: Needs | None = None,
        batch: int = 8,
    ) -> PlacedTokens:
        """One backbone pass over images (paths, PIL images or arrays, of any sizes), and where each was placed.

        A canvas with tiles takes a pass for every ``batch`` of them.
        """
        check_images(images)
        canvas, needs = canvas or self._one_canvas(), needs or self.needs
        if isinstance(canvas, LargeCanvas):
            check_room(canvas, needs, self.backbone.info, self.backbone.device)
        rendered = [canvas.render(read_image(image)) for image in images]
        tiles = canvas.tiles and canvas.tiles.by(batch)
        return encode_rendered(self.backbone, rendered, needs, tiles)

    @torch.no_grad()
    def run_heads(self, tokens: Tokens, names: Sequence[str] | None = None) -> dict[str, list[Any]]:
        """Predictions of some heads, all by default, on live or stored tokens, in canvas pixels."""
        return {name: run_head(self.head(name), tokens) for name in self._chosen(names)}

    def predict(
        self,
        images: Sequence[ImageSource],
        names: Sequence[str] | None = None,
        batch: int = 8,
        lap: Callable[[str], None] = lambda name: None,
        **tiles: Unpack[TileOptions],
    ) -> list[dict[str, Any]]:
        """Predictions of some heads, by default all, for each image, by head, in pixels of the original image.

        ``batch`` images share a backbone pass, and those larger than a tile take several, see ``Tiling``. ``lap`` is
        called with ``"backbone"`` or a head's name when that part is done.
        """
        predictions: list[dict[str, Any]] = [{} for _ in images]
        passes = [self.passes(names)] * len(images)
        if (tiling := tiling_of(tiles, self.tiling)) is not None:
            pictures = [read_image(image) for image in images]
            passes = [self.passes(names, tiling, (picture.shape[0], picture.shape[1])) for picture in pictures]
            images = pictures
        for seen in self._run(images, passes, batch, lap):
            for number, by_head in seen.predictions.items():
                predictions[number] |= by_head
        return predictions

    @torch.no_grad()
    def _run(
        self,
        images: Sequence[ImageSource],
        passes: Sequence[Sequence[Pass]],
        batch: int = 8,
        lap: Callable[[str], None] = lambda name: None,
    ) -> Iterator[Seen]:
        """What the ``passes`` of each image give, with the tokens; see ``predict``.

        Images on the same canvas share runs of the backbone, whichever heads each of them is for.
        """
        check_images(images)
        for (canvas, merge), members in by_canvas(passes).items():
            size = images_at_once(canvas, self._cell, batch)
            for start in range(0, len(members), size):
                part = members[start : start + size]
                if merge == "results":
                    yield from self._ask_windows(part, images, batch, lap)
                    continue
                needs = reduce(or_, (group.needs for group, _ in part))
                placed = self.tokens([images[number] for _, number in part], canvas, needs, batch)
                lap("backbone")
                yield from self._ask_heads(part, placed, lap)

    def _ask_windows(
        self, members: Members, images: Sequence[ImageSource], batch: int, lap: Callable[[str], None]
    ) -> Iterator[Seen]:
        """The predictions of heads on each tile of an image, merged."""
        for group, number in members:
            heads = {name: self.head(name) for name in group.heads}
            windows = encode_windows(self.backbone, read_image(images[number]), group, batch, lap)
            batches = (([number] * len(placed.placements), placed) for placed in windows)
            yield Seen(group, [number], None, run_passes(heads, batches, lap))

    def _ask_heads(self, members: Members, placed: PlacedTokens, lap: Callable[[str], None]) -> Iterator[Seen]:
        """The predictions of heads on one run of the backbone, in which equal passes are neighbours."""
        end = 0
        for group, equal in groupby(members, key=itemgetter(0)):
            numbers = [number for _, number in equal]
            start, end = end, end + len(numbers)
            own = PlacedTokens(placed.tokens[start:end], placed.placements[start:end])
            heads = {name: self.head(name) for name in group.heads}
            yield Seen(group, numbers, own, run_passes(heads, [(numbers, own)], lap))

    def forward(self, images: Sequence[ImageSource]) -> dict[str, list[Any]]:
        """Every head's predictions in pixels of each original image, in the order of the heads."""
        check_images(images)
        predictions = self.predict(images, batch=len(images))
        return {name: [by_head[name] for by_head in predictions] for name in self.heads}


def run_head(head: Head, tokens: Tokens) -> list[Any]:
    """One head's predictions in canvas pixels, with calibrated confidences."""
    found = head.decode(head(tokens.features(head.needs)), tokens.size)
    calibration = head.calibration
    return found if calibration is None else [head.task.calibrated(each, calibration) for each in found]


def run_passes(
    heads: Mapping[str, Head],
    batches: Iterable[tuple[Sequence[int], PlacedTokens]],
    lap: Callable[[str], None] = lambda name: None,
) -> dict[int, dict[str, Any]]:
    """Predictions by image and head, in image pixels, merged from all passes over the image.

    A batch holds passes: the number of the image of each, their tokens and placements. ``lap`` is called with a head's
    name when it is done with a batch, and when its predictions are merged.
    """
    parts: dict[int, dict[str, list[Any]]] = {}
    placements: dict[int, list[Placement]] = {}
    for images, (tokens, places) in batches:
        for image, place in zip(images, places, strict=True):
            parts.setdefault(image, {name: [] for name in heads})
            placements.setdefault(image, []).append(place)
        for name, head in heads.items():
            for image, prediction in zip(images, run_head(head, tokens), strict=True):
                parts[image][name].append(prediction)
            lap(name)
    merged: dict[int, dict[str, Any]] = {image: {} for image in parts}
    for name, head in heads.items():
        for image, by_head in parts.items():
            merged[image][name] = head.task.merge(by_head[name], placements[image])
        lap(name)
    return merged
