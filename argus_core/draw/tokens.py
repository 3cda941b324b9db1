"""What a backbone sees: tokens as colours, and where they are alike."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from argus_core.draw.cells import Array, Cells
from argus_core.draw.enlarge import enlarged
from argus_core.draw.palette import Color, Pixels
from argus_core.draw.panel import attach, lies
from argus_core.draw.scale import Scale, scale_bar
from argus_core.draw.strokes import strokes
from argus_core.draw.text import font_for
from argus_core.draw.values import blend, checked, grey

OUTLIERS = 1.0
"""The per cent of cells at each end that a component's colours do not tell apart."""

OPACITY = 0.7
POINT: Color = (80, 220, 255)


def draw_pca(
    maps: Tensor,
    stride: int,
    extent: tuple[int, int] | None = None,
    size: tuple[int, int] | None = None,
    smooth: bool = False,
) -> Pixels:
    """The first three principal components of tokens (C, h, w) as red, green and blue, (height, width, 3) bytes.

    Only cells within ``extent`` (height, width in canvas pixels), where the image ends, count and are shown; the
    picture has ``size``, by default that of the extent, and shows the cells as they are unless ``smooth``. The same
    tokens give the same colours: each component points where its largest weight is positive and fills the range from
    1 % to 99 % of the cells.
    """
    cells = Cells.of(maps, stride, extent)
    size = size or cells.extent
    return np.stack([cells.enlarge(part, size, smooth) for part in _components(cells.tokens)], axis=-1).astype(np.uint8)


def draw_similarity(
    image: Pixels, maps: Tensor, stride: int, point: tuple[float, float], extent: tuple[int, int] | None = None
) -> Pixels:
    """Cosines of all tokens (C, h, w) with the one at ``point`` (x, y image pixels) over the image, with a scale.

    The image, RGB bytes, fills ``extent`` (height, width in canvas pixels), by default all cells. A small one is
    enlarged by a whole number.
    """
    cells = Cells.of(maps, stride, extent)
    unit = F.normalize(cells.tokens, dim=0)
    row, column = cells.at(point, (checked(image).shape[0], image.shape[1]))
    big, factor = enlarged(image)
    size = (big.shape[0], big.shape[1])
    cosines = torch.einsum("chw,c->hw", unit, unit[:, row, column]).numpy()
    scale = Scale(min(float(cosines.min()), 0.99), 1.0, title="cosine")
    heat = scale.paint(cells.enlarge(cosines, size))
    picture, face = blend(grey(big), heat, OPACITY), font_for(size)
    with strokes(picture) as pen:
        pen.dot((point[0] * factor, point[1] * factor), 0.45 * face.size, POINT)
    bar = scale_bar(scale, size[lies(size)], face, lies(size))
    return attach(np.asarray(picture), bar, face.size / 2, lies(size))


def _components(tokens: Tensor) -> Array:
    """(3, h, w) numbers in 0..255; a component without variance is 127.5 throughout."""
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
    """(at most 3, C): unit vectors along which centred rows (N, C) vary most, from the smaller of two Gram matrices."""
    if flat.shape[0] < flat.shape[1]:
        values, vectors = torch.linalg.eigh(flat @ flat.T)
        vectors = flat.T @ vectors
    else:
        values, vectors = torch.linalg.eigh(flat.T @ flat)
    some = values > 1e-12 * values.clamp(min=1e-300).max()
    return F.normalize(vectors[:, some][:, -3:].flip(1), dim=0).T
