"""Embeddings of objects and of whole images, pooled from tokens that a pass has already made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from argus_core.canvas import Placement
from argus_core.errors import ArgusError
from argus_core.model.passes import Seen
from argus_core.nn.regions import region_means
from argus_core.tasks import Result
from argus_core.tasks.detect import DetectionResult
from argus_core.tasks.result import Vectors
from argus_core.tokens import Features, Needs, PlacedTokens
from argus_core.tokens.taps import EmbeddingLayers

BoxArray: TypeAlias = "npt.NDArray[np.floating[Any]]"
CHUNK = 1024
"""Boxes that are pooled at once, each of which takes a weight per cell."""


@dataclass(frozen=True)
class PassEmbeddings:
    """Vectors of length 1 of what one pass has seen, from tokens of two ``layers``, live or cached.

    The backbone's final norm is applied where it is defined. A map without any response gives a vector of zeros.
    """

    placed: PlacedTokens
    layers: EmbeddingLayers

    @cached_property
    def images(self) -> Vectors:
        """(B, C): CLS of each image; of a backbone without CLS the mean of its cells."""
        needs = Needs((self.layers.images,), maps=False, cls=True)
        return _unit(self.placed.tokens.features(needs).cls[0])

    def boxes(self, place: int, boxes: BoxArray) -> Vectors:
        """(N, C): the mean of the map over each of the boxes (N, 4) of one image of the batch, in its own pixels.

        Boxes are clipped to what the canvas shows of the image; one without area gives the map at its place.
        """
        placement = self.placed.placements[place]
        corners = torch.from_numpy(placement.boxes_to_canvas(boxes))
        maps, extent = self._maps.map[place, None], self._maps.extent[place, None].cpu()
        stride = self.placed.tokens.info.strides[self.layers.objects]
        parts = [region_means(maps, part[None], stride, extent)[0] for part in corners.split(CHUNK)]
        return _unit(torch.cat(parts))

    @cached_property
    def _maps(self) -> Features:
        return self.placed.tokens.features(Needs((self.layers.objects,)))


def embed_results(seen: Seen, layers: EmbeddingLayers, results: Sequence[dict[str, Result]]) -> None:
    """Add embeddings to the results of the heads of one pass; ``results`` are those of all images, by head."""
    assert seen.placed is not None
    found = PassEmbeddings(seen.placed, layers)
    for place, number in enumerate(seen.numbers):
        for name in seen.predictions[number]:
            result = replace(results[number][name], embedding=found.images[place])
            if isinstance(result, DetectionResult):
                boxes = result.detections.boxes.double().numpy()
                result = replace(result, embeddings=found.boxes(place, boxes))
            results[number][name] = result


def check_boxes(boxes: Any, placement: Placement, image: str) -> BoxArray:
    """Boxes of an image as (N, 4) float64; raises ArgusError, with the first bad box, for what marks no place in it."""
    values = _numbers(boxes, image)
    height, width = placement.image_size
    near, far = values[:, :2], values[:, 2:]
    seen = np.minimum(far, (width, height)) - np.maximum(near, 0)
    size = f"{image} of {width}x{height} px (width x height)"
    checks = {
        "is not finite": ~np.isfinite(values).all(axis=1),
        "ends before it begins; boxes are x1, y1, x2, y2, so of x, y, width, height give x, y, x + width, y + height": (
            far < near
        ).any(axis=1),
        f"lies outside {size}": ((seen < 0) | ((seen == 0) & (far > near))).any(axis=1),
    }
    for fault, wrong in checks.items():
        _refuse(values, wrong, image, fault)
    if len(values) and values.max() <= 1 and min(height, width) > 1:
        raise ArgusError(f"all boxes of {size} lie within 0 to 1; if they are shares, multiply by its width and height")
    canvas = placement.boxes_to_canvas(values)
    gone = (canvas[:, 2:] <= canvas[:, :2]) & (far > near)
    _refuse(
        values,
        gone[:, 0] | gone[:, 1],
        image,
        "lies where the canvas cuts the image off; give all heads another canvas (letterbox)",
    )
    return values


def _numbers(boxes: Any, image: str) -> BoxArray:
    values = np.asarray(boxes.detach().cpu() if isinstance(boxes, Tensor) else boxes)
    if values.size == 0 and values.shape in ((0,), (0, 4)):
        return np.zeros((0, 4))
    if values.dtype.kind not in "fiu" or values.ndim != 2 or values.shape[1] != 4:
        raise ArgusError(
            f"boxes of {image} are {values.dtype} of shape {values.shape}, not numbers of shape (N, 4): "
            "x1, y1, x2, y2 in pixels of the image"
        )
    return values.astype(np.float64)


def _refuse(values: BoxArray, wrong: npt.NDArray[np.bool_], image: str, fault: str) -> None:
    if wrong.any():
        row = int(wrong.argmax())
        raise ArgusError(f"box {row} of {image}, {[round(v, 2) for v in values[row].tolist()]}, {fault}")


def _unit(vectors: Tensor) -> Vectors:
    unit: Vectors = F.normalize(vectors, dim=-1).cpu().numpy()
    return unit
