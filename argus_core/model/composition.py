"""Any set of heads over one frozen backbone: the passes they need, and their predictions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import reduce
from itertools import groupby
from operator import itemgetter, or_
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from argus_core.backbones.base import Backbone, encode_rendered
from argus_core.canvas import Canvas, Placement
from argus_core.canvas.large import TileOptions, Tiling, tiling_of
from argus_core.common.license import Licenses, work_licenses
from argus_core.errors import ArgusError, unknown
from argus_core.head import Head
from argus_core.image import ImageSource, read_image
from argus_core.model.compatibility import check_fit
from argus_core.model.images import as_list, check_images
from argus_core.model.outline import outline
from argus_core.model.passes import Members, Pass, Seen, by_canvas, encode_windows, images_at_once
from argus_core.tasks.classify import Classify
from argus_core.tokens import FeatureInfo, Needs, PlacedTokens, Tokens

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Composition(nn.Module):
    """Heads by name over one backbone that they were built for, and on whose weights they were trained.

    ``strict=False`` accepts heads of other weights or strides, if they can run at all. With ``canvas`` all heads use
    that canvas, so an image takes one pass. Without it each head uses the canvas it was trained on, and heads with the
    same canvas share a pass.
    """

    missing: Mapping[str, str] = MappingProxyType({})
    """Heads that were left out when this was loaded, with the reason."""
    tiling: Tiling | None = None
    """How images larger than a tile are looked at; without it they are shrunk to the canvas."""

    def __init__(
        self,
        backbone: Backbone,
        heads: Mapping[str, Head] | None = None,
        canvas: Canvas | None = None,
        *,
        strict: bool = True,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.heads = nn.ModuleDict()
        self.canvas = canvas
        for name, head in (heads or {}).items():
            self.add(name, head, strict)

    def __repr__(self) -> str:
        """A line for the backbone and one for each head."""
        return outline(type(self).__name__, self.backbone, {name: self.head(name) for name in self.heads}, self.canvas)

    def add(self, name: str, head: Head, strict: bool = True) -> None:
        """Add a head under a new name; raises ArgusError if it does not fit the backbone, see ``check_fit``."""
        check_name(name)
        if not isinstance(head, Head):
            raise ArgusError(f"{name!r} is {type(head).__name__}, not a Head; load_head gives a pair, (head, record)")
        if name in self.heads:
            raise ArgusError(f"there is a head {name!r} already; remove it first or choose another name")
        check_fit(name, head, self.backbone, strict)
        if self.canvas is None and head.canvas is None:
            raise _without_canvas(name)
        self.heads[name] = head.to(self.backbone.device).eval()

    def licenses(self) -> Licenses:
        """The licences of all parts, and the terms that apply to the whole."""
        return work_licenses(self.backbone.license, {name: self.head(name).record for name in self.heads})

    def remove(self, name: str) -> Head:
        """Remove a head and return it."""
        head = self.head(name)
        del self.heads[name]
        return head

    def head(self, name: str) -> Head:
        """The head of that name; raises ArgusError with similar names if there is none."""
        if name not in self.heads:
            raise unknown("head of this Argus", name, self.heads)
        head = self.heads[name]
        assert isinstance(head, Head)
        return head

    def canvas_of(self, name: str) -> Canvas:
        """The canvas that a head uses."""
        canvas = self.canvas or self.head(name).canvas
        if canvas is None:
            raise _without_canvas(name)
        return canvas

    def passes(
        self, names: Sequence[str] | None = None, tiling: Tiling | None = None, image: tuple[int, int] = (1, 1)
    ) -> list[Pass]:
        """The backbone passes for some heads, by default all: one per canvas.

        With ``tiling``, heads whose answers have a place see an ``image`` (height, width) that is larger than a tile on
        a canvas as large as it asks for. Classes are told of the whole image, on the usual canvas.
        """
        groups: dict[tuple[Canvas, bool], dict[str, Head]] = {}
        for name in self._chosen(names):
            head, canvas = self.head(name), self.canvas_of(name)
            large = canvas
            if tiling is not None and head.needs.maps and not isinstance(head.task, Classify):
                large = tiling.canvas(canvas, image, self._cell)
            groups.setdefault((large, large != canvas), {})[name] = head
        info, merge = self.backbone.info, "tokens" if tiling is None else tiling.merge
        return [
            Pass(canvas, tuple(heads), merged_needs(heads, info), merge=merge if grown else "tokens")
            for (canvas, grown), heads in groups.items()
        ]

    @property
    def _cell(self) -> int:
        """The pixels that sides of tiles are multiples of."""
        return max(self.backbone.info.strides)

    @property
    def needs(self) -> Needs:
        """The union of what the heads read."""
        return merged_needs({name: self.head(name) for name in self._chosen(None)}, self.backbone.info)

    def features(
        self, images: ImageSource | Sequence[ImageSource], canvas: Canvas | None = None, needs: Needs | None = None
    ) -> Tokens:
        """The tokens of one image or a list of them, for ``run_heads`` or a cache of one's own; one backbone pass."""
        return self.tokens(as_list(images), canvas, needs).tokens

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
        canvas = canvas or self._one_canvas()
        rendered = [canvas.render(read_image(image)) for image in images]
        tiles = canvas.tiles and canvas.tiles.by(batch)
        return encode_rendered(self.backbone, rendered, needs or self.needs, tiles)

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

    def _one_canvas(self) -> Canvas:
        canvases = [group.canvas for group in self.passes()]
        if len(canvases) > 1:
            raise ArgusError(f"the heads were trained on {len(canvases)} canvases; say which: canvas={canvases[0]}")
        return canvases[0]

    def _chosen(self, names: Sequence[str] | None) -> Iterator[str]:
        if not len(self.heads):
            raise ArgusError("Argus needs at least one head: Argus(backbone, {'boxes': head}, canvas)")
        yield from self.heads if names is None else names


def _without_canvas(name: str) -> ArgusError:
    return ArgusError(
        f"head {name!r} was not trained on any canvas, so what should it see? give all heads one, as in "
        f"Argus(..., canvas=Canvas(320)), or this one its own: head.canvas = Canvas(320)"
    )


def check_name(name: str) -> None:
    """Raise ArgusError for a name that a head cannot have in ``Argus``."""
    if "." in name or hasattr(nn.ModuleDict, name):
        raise ArgusError(f"{name!r} cannot name a head in Argus; choose a plain name such as 'boxes'")


def merged_needs(heads: Mapping[str, Head], info: FeatureInfo | None = None) -> Needs:
    """What one backbone pass must give to serve all heads; ``info`` is that of the backbone, by default the heads'."""
    return reduce(or_, (head.needs.resolve(info or head.info) for head in heads.values()))


def run_head(head: Head, tokens: Tokens) -> list[Any]:
    """One head's predictions in canvas pixels."""
    return head.decode(head(tokens.features(head.needs)), tokens.size)


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
