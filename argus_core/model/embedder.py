"""Vectors by which objects and images are found again, from the pass that answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar, overload

import numpy as np
import numpy.typing as npt
import torch

from argus_core.canvas import Canvas
from argus_core.canvas.large import TileOptions, Tiling, tiling_of
from argus_core.errors import ArgusError, counted
from argus_core.image import ImageSource, read_image
from argus_core.image.array import RGB
from argus_core.model.composition import Composition
from argus_core.model.embeddings import BoxArray, PassEmbeddings, check_boxes
from argus_core.model.heads import merged_needs
from argus_core.model.images import as_list, check_images
from argus_core.model.passes import Pass, images_at_once
from argus_core.tasks.detect import Detect
from argus_core.tasks.result import Vectors
from argus_core.tokens import Needs
from argus_core.tokens.taps import EmbeddingLayers, preferred_layer

if TYPE_CHECKING:
    from typing_extensions import Unpack

Source = TypeVar("Source", bound=ImageSource)


class Embedder(Composition):
    """Heads over one frozen backbone whose tokens also give a vector of length 1 for every object and every image.

    By default a layer that the detectors of this Argus read serves, without detectors one that any head reads: the
    vectors of an object are the same whichever heads are asked, and the pass of a detector computes no more for them.
    Objects take the last layer of the stride nearest to 16 px, as a coarser map blurs small ones, images the last of
    all; ``embedding_layer`` names one for both.
    """

    embedding_layer: int | None = None
    batch: int = 8

    @property
    def embedding_layers(self) -> EmbeddingLayers:
        """The layers that embeddings are taken from; raises ArgusError for one that the backbone does not have."""
        info = self.backbone.info
        if self.embedding_layer is not None:
            (layer,) = Needs((self.embedding_layer,)).resolve(info).layers
            return EmbeddingLayers(layer, layer)
        heads = {name: self.head(name) for name in self._detectors() or self.heads}
        layers = merged_needs(heads, info).layers if heads else range(info.depth)
        return EmbeddingLayers(preferred_layer(info, layers), max(layers))

    @overload
    def embed(
        self, images: ImageSource, boxes: npt.ArrayLike | None = ..., **tiles: Unpack[TileOptions]
    ) -> Vectors: ...
    @overload
    def embed(
        self, images: list[Source] | tuple[Source, ...], boxes: None = ..., **tiles: Unpack[TileOptions]
    ) -> Vectors: ...
    @overload
    def embed(
        self, images: list[Source] | tuple[Source, ...], boxes: Sequence[npt.ArrayLike], **tiles: Unpack[TileOptions]
    ) -> list[Vectors]: ...
    def embed(self, images: Any, boxes: Any = None, **tiles: Unpack[TileOptions]) -> Vectors | list[Vectors]:
        """Vectors of length 1, float32, of whole images (C,), or of boxes (N, 4) in each of them (N, C).

        Boxes are x1, y1, x2, y2 in pixels of the image, from anywhere; those of a detection get the vectors of its
        ``embeddings``, where both look by the same ``tiles``. A list of images takes a list of boxes, and gives (K, C)
        or a list of (N, C). One backbone pass for ``batch`` images, on the canvas of the first detector, or else of the
        first head.
        """
        several, tiling = isinstance(images, list | tuple), tiling_of(tiles, self.tiling)
        found = self._embed(as_list(images), None if boxes is None else list(boxes) if several else [boxes], tiling)
        if not several:
            return found[0]
        return np.stack(found) if boxes is None else found

    @torch.no_grad()
    def _embed(
        self, images: Sequence[ImageSource], boxes: Sequence[Any] | None, tiling: Tiling | None
    ) -> list[Vectors]:
        """The vector of each image, or those of its boxes."""
        check_images(images)
        usual, layers = self._embedding_canvas(), self.embedding_layers
        needs = Needs(layers[1:], maps=False, cls=True) if boxes is None else Needs(layers[:1])
        pictures = [read_image(image) for image in images]
        canvases = [self.canvas_for(usual, picture.shape[:2], tiling) for picture in pictures]
        checked = [] if boxes is None else _checked(boxes, pictures, canvases)
        found: dict[int, Vectors] = {}
        for canvas in dict.fromkeys(canvases):
            numbers = [number for number, own in enumerate(canvases) if own == canvas]
            size = images_at_once(canvas, self._cell, self.batch)
            for start in range(0, len(numbers), size):
                part = numbers[start : start + size]
                placed = self.tokens([pictures[number] for number in part], canvas, needs, self.batch)
                seen = PassEmbeddings(placed, layers)
                own = seen.images if boxes is None else map(seen.boxes, range(len(part)), [checked[n] for n in part])
                found |= zip(part, own, strict=True)
        return [found[number] for number in range(len(pictures))]

    def _with_embeddings(self, passes: Sequence[Pass]) -> list[Pass]:
        """Passes that also give embeddings: those of detectors, and where there are none the first."""
        layers, detectors = self.embedding_layers, set(self._detectors())
        chosen = [group for group in passes if detectors & {*group.heads}] or passes[:1]
        if any(group.merge == "results" for group in chosen):
            raise ArgusError("embeddings are pooled from the tokens of a whole image: merge tokens, not results")
        more = {group: replace(group, needs=group.needs | layers.needs, embedding=layers) for group in chosen}
        return [more.get(group, group) for group in passes]

    def _embedding_canvas(self) -> Canvas:
        name = next(iter([*self._detectors(), *self.heads]), None)
        if name is not None:
            return self.canvas_of(name)
        if self.canvas is None:
            raise ArgusError(
                "an Argus without heads needs a canvas to look at images: Argus(backbone, canvas=Canvas(320))"
            )
        return self.canvas

    def _detectors(self) -> list[str]:
        return [name for name in self.heads if isinstance(self.head(name).task, Detect)]


def _checked(boxes: Sequence[Any], pictures: Sequence[RGB], canvases: Sequence[Canvas]) -> list[BoxArray]:
    """The boxes of each image as arrays; raises ArgusError for those that mark no place in it."""
    if len(boxes) != len(pictures):
        number = counted(len(pictures), "image")
        raise ArgusError(f"there are {number} and {len(boxes)} arrays of boxes; give one array (N, 4) for each image")
    places = [own.place(*picture.shape[:2]) for own, picture in zip(canvases, pictures, strict=True)]
    return [check_boxes(own, place, f"image {n}") for n, (own, place) in enumerate(zip(boxes, places, strict=True))]
