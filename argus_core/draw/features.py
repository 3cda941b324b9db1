"""Tokens as pictures: their principal components as colours, and their similarity to one of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from argus_core.draw.inputs import blend, checked, grey
from argus_core.draw.palette import Color, Pixels
from argus_core.draw.panel import enlarged, size_of
from argus_core.draw.scale import Scale, attach_scale
from argus_core.draw.strokes import strokes
from argus_core.draw.text import font_for
from argus_core.errors import ArgusError

Array = npt.NDArray[Any]
OUTLIERS = 1.0
"""The per cent of cells at each end of a component that share the colour of the end."""
OPACITY = 0.7
POINT: Color = (80, 220, 255)


@dataclass(frozen=True)
class Cells:
    """Tokens (C, h, w), float64 on the CPU, of cells of ``stride`` canvas pixels that contain some of the image.

    The image ends at ``extent`` (height, width) canvas pixels; the last cells may overhang it.
    """

    tokens: Tensor
    stride: int
    extent: tuple[int, int]

    @classmethod
    def of(cls, maps: Tensor, stride: int, extent: tuple[int, int] | None) -> Cells:
        """The cells of ``maps`` within ``extent``, by default all; raises ArgusError for a wrong extent."""
        if maps.ndim != 3 or not maps.numel() or stride < 1:
            raise ArgusError(f"tokens to draw are (C, h, w) of cells of 1 or more pixels, not {tuple(maps.shape)}")
        covered = (maps.shape[1] * stride, maps.shape[2] * stride)
        height, width = (int(end) for end in extent or covered)
        if not (0 < height <= covered[0] and 0 < width <= covered[1]):
            raise ArgusError(f"an extent of {height}x{width} px is not within the cells' {covered[0]}x{covered[1]} px")
        tokens = maps[:, : math.ceil(height / stride), : math.ceil(width / stride)].detach().cpu().double()
        if not tokens.isfinite().all():
            raise ArgusError("the tokens are not finite and cannot be drawn")
        return cls(tokens, stride, (height, width))

    def enlarge(self, values: Array, size: tuple[int, int], smooth: bool = True) -> npt.NDArray[np.float32]:
        """(h, w) numbers of the cells at (height, width) pixels over the extent."""
        box = (0.0, 0.0, self.extent[1] / self.stride, self.extent[0] / self.stride)
        method = Image.Resampling.BILINEAR if smooth else Image.Resampling.NEAREST
        small = Image.fromarray(np.ascontiguousarray(values, dtype=np.float32))
        return np.asarray(small.resize((size[1], size[0]), method, box=box))

    def at(self, point: tuple[float, float], size: tuple[int, int]) -> tuple[int, int]:
        """Row and column of the cell at x, y pixels of the image, of ``size`` (height, width) pixels."""
        if not (0 <= point[0] <= size[1] and 0 <= point[1] <= size[0]):
            raise ArgusError(f"point {tuple(point)} (x, y) is not in the image of {size[1]} x {size[0]} pixels")
        places = [p / n * end / self.stride for p, n, end in zip(point[::-1], size, self.extent, strict=True)]
        row, column = (min(int(place), n - 1) for place, n in zip(places, self.tokens.shape[1:], strict=True))
        return row, column


def draw_pca(
    maps: Tensor,
    stride: int,
    extent: tuple[int, int] | None = None,
    size: tuple[int, int] | None = None,
    smooth: bool = False,
) -> Pixels:
    """The first three principal components of tokens (C, h, w) as red, green and blue, (height, width, 3) bytes.

    Only cells within ``extent`` (height, width in canvas pixels), where the image ends, are used and shown; the picture
    has ``size``, by default that of the extent, with interpolation between cells if ``smooth``. The same tokens give
    the same colours: the largest weight of each component is positive, and its colours range from the 1st to the 99th
    percentile of the cells.
    """
    cells = Cells.of(maps, stride, extent)
    size = size or cells.extent
    return np.stack([cells.enlarge(part, size, smooth) for part in components(cells.tokens)], axis=-1).astype(np.uint8)


def draw_similarity(
    image: Pixels, maps: Tensor, stride: int, point: tuple[float, float], extent: tuple[int, int] | None = None
) -> Pixels:
    """Cosines of all tokens (C, h, w) with the one at ``point`` (x, y image pixels) over the image, with a scale.

    The image, RGB bytes, fills ``extent`` (height, width in canvas pixels), by default all cells. A small one is
    enlarged by a whole number.
    """
    cells = Cells.of(maps, stride, extent)
    unit = F.normalize(cells.tokens, dim=0)
    row, column = cells.at(point, size_of(checked(image)))
    big, factor = enlarged(image)
    cosines = torch.einsum("chw,c->hw", unit, unit[:, row, column]).numpy()
    scale = Scale(min(float(cosines.min()), 0.99), 1.0, title="cosine")
    heat = scale.paint(cells.enlarge(cosines, size_of(big)))
    picture, face = blend(grey(big), heat, OPACITY), font_for(size_of(big))
    with strokes(picture) as pen:
        pen.dot((point[0] * factor, point[1] * factor), 0.45 * face.size, POINT)
    return attach_scale(np.asarray(picture), scale)


def components(tokens: Tensor) -> Array:
    """The first three principal components of tokens (C, h, w), float64, as in ``draw_pca``: (3, h, w) in 0..255.

    A component without variance is 127.5 throughout.
    """
    flat = tokens.flatten(1).T  # (cells, C)
    flat = flat - flat.mean(dim=0)
    out = np.full((3, len(flat)), 127.5)
    for place, direction in enumerate(_directions(flat)):
        column = (flat @ (direction * direction[direction.abs().argmax()].sign())).numpy()
        low, high = np.percentile(column, (OUTLIERS, 100 - OUTLIERS))
        if high > low:
            out[place] = np.clip((column - low) / (high - low), 0, 1) * 255
    return out.reshape(3, *tokens.shape[1:])


def _directions(flat: Tensor) -> Tensor:
    """(at most 3, C): unit vectors along which centred rows (N, C) vary most, by the smaller of two Gram matrices."""
    if flat.shape[0] < flat.shape[1]:
        values, vectors = torch.linalg.eigh(flat @ flat.T)
        vectors = flat.T @ vectors
    else:
        values, vectors = torch.linalg.eigh(flat.T @ flat)
    some = values > 1e-12 * values.clamp(min=1e-300).max()
    return F.normalize(vectors[:, some][:, -3:].flip(1), dim=0).T
