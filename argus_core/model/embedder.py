"""Vectors by which objects and images are found again, from the pass that answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar, overload

import numpy as np
import numpy.typing as npt
import torch

from argus_core.canvas import Canvas
from argus_core.errors import ArgusError, counted
from argus_core.image import ImageSource, read_image
from argus_core.image.array import RGB
from argus_core.model.composition import Composition, Pass, as_list, merged_needs
from argus_core.model.embeddings import BoxArray, PassEmbeddings, check_boxes
from argus_core.tasks.detect import Detect
from argus_core.tasks.result import Vectors
from argus_core.tokens import Needs
from argus_core.tokens.taps import EmbeddingLayers, preferred_layer

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
    def embed(self, images: ImageSource, boxes: npt.ArrayLike | None = ...) -> Vectors: ...
    @overload
    def embed(self, images: list[Source] | tuple[Source, ...], boxes: None = ...) -> Vectors: ...
    @overload
    def embed(self, images: list[Source] | tuple[Source, ...], boxes: Sequence[npt.ArrayLike]) -> list[Vectors]: ...
    def embed(self, images: Any, boxes: Any = None) -> Vectors | list[Vectors]:
        """Vectors of length 1, float32, of whole images (C,), or of boxes (N, 4) in each of them (N, C).

        Boxes are x1, y1, x2, y2 in pixels of the image, from anywhere; those of a detection get the vectors of its
        ``embeddings``. A list of images takes a list of boxes, and gives (K, C) or a list of (N, C). One backbone pass
        for ``batch`` images, on the canvas of the first detector, or else of the first head.
        """
        several = isinstance(images, list | tuple)
        found = self._embed(as_list(images), None if boxes is None else list(boxes) if several else [boxes])
        if not several:
            return found[0]
        return np.stack(found) if boxes is None else found

    @torch.no_grad()
    def _embed(self, images: Sequence[ImageSource], boxes: Sequence[Any] | None) -> list[Vectors]:
        """The vector of each image, or those of its boxes."""
        canvas, layers = self._embedding_canvas(), self.embedding_layers
        needs = Needs(layers[1:], maps=False, cls=True) if boxes is None else Needs(layers[:1])
        pictures = [read_image(image) for image in images]
        checked = [] if boxes is None else _checked(boxes, pictures, canvas)
        found: list[Vectors] = []
        for start in range(0, len(pictures) or 1, self.batch):
            part = slice(start, start + self.batch)
            seen = PassEmbeddings(self.tokens(pictures[part], canvas, needs), layers)
            found.extend(seen.images if boxes is None else map(seen.boxes, range(self.batch), checked[part]))
        return found

    def _with_embeddings(self, passes: Sequence[Pass]) -> list[Pass]:
        """Passes that also give embeddings: those of detectors, and where there are none the first."""
        layers, detectors = self.embedding_layers, set(self._detectors())
        chosen = [group for group in passes if detectors & {*group.heads}] or passes[:1]
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


def _checked(boxes: Sequence[Any], pictures: Sequence[RGB], canvas: Canvas) -> list[BoxArray]:
    """The boxes of each image as arrays; raises ArgusError for those that mark no place in it."""
    if len(boxes) != len(pictures):
        number = counted(len(pictures), "image")
        raise ArgusError(f"there are {number} and {len(boxes)} arrays of boxes; give one array (N, 4) for each image")
    places = [canvas.place(*picture.shape[:2]) for picture in pictures]
    return [check_boxes(own, place, f"image {n}") for n, (own, place) in enumerate(zip(boxes, places, strict=True))]
