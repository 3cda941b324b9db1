"""Vectors of annotated boxes: what the cached maps are like within them, and how large they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from argus_arena.audit.labels import Ints
from argus_arena.audit.lessons import Annotated
from argus_core.nn.regions import region_means
from argus_core.tasks.detect import Boxes
from argus_core.tokens import Features, Needs, PlacedTokens

SIZE = 0.3
"""How much a standard deviation of the logarithm of a side counts beside a vector of length 1."""


@dataclass(frozen=True)
class Regions:
    """The boxes that are not ignored, of all images: ``vectors`` (N, d) float32, ``labels`` (N,).

    ``images`` (N,) are the numbers of their images, ``rows`` (N,) their rows among the boxes there.
    """

    vectors: Tensor
    labels: Tensor
    images: Ints
    rows: Ints


def read_regions(annotated: Annotated) -> Regions:
    """One pass over the cached maps, of which the means over each box of every layer are kept, each of length 1."""
    opened = annotated.opened
    vectors, sides = [torch.zeros(0, sum(opened.info.channels[layer] for layer in opened.layers))], [torch.zeros(0, 2)]
    labels, images, rows = [], [], []
    for number, placed in annotated.each(annotated.numbers):
        truth: Boxes = annotated.truth(number)
        kept = np.flatnonzero(~truth.ignored)
        corners = torch.from_numpy(placed.placements[0].boxes_to_canvas(truth.boxes[kept]))
        vectors.append(_means(placed, corners, opened.layers))
        sides.append((corners[:, 2:] - corners[:, :2]).clamp(min=1).log().float())
        labels += truth.labels[kept].tolist()
        images += [number] * len(kept)
        rows += kept.tolist()
    joined = torch.cat([torch.cat(vectors), _of_size(torch.cat(sides))], dim=1)
    return Regions(joined, torch.tensor(labels, dtype=torch.long), np.array(images, np.int64), np.array(rows, np.int64))


def _means(placed: PlacedTokens, corners: Tensor, layers: tuple[int, ...]) -> Tensor:
    parts = []
    for layer in layers:
        features: Features = placed.tokens.features(Needs((layer,)))
        stride = placed.tokens.info.strides[layer]
        parts.append(F.normalize(region_means(features.map, corners[None], stride, features.extent)[0], dim=1))
    return torch.cat(parts, dim=1)


def _of_size(sides: Tensor) -> Tensor:
    """(N, 4) the logarithms of both sides and their squares, as standard deviations from the mean."""
    if len(sides) < 2:
        return torch.zeros(len(sides), 4)
    apart = SIZE * (sides - sides.mean(dim=0)) / sides.std(dim=0).clamp(min=1e-3)
    return torch.cat([apart, apart.square()], dim=1)
