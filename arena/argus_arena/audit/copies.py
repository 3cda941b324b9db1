"""Images that are there twice: byte for byte, or the same picture encoded, resized, cropped or mirrored anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from argus_arena.audit.alignment import Grids, agreement
from argus_arena.audit.opened import Opened
from argus_arena.audit.vectors import Neighbours, Vectors
from argus_core.tokens import Needs

Kind = Literal["same bytes", "same picture", "mirrored", "alike"]
NEAREST = 3
"""Neighbours of each image that may be copies of it."""
MOST = 100_000
"""Pairs that are compared cell by cell; of more, the most similar ones."""
LEAST, SURE, TIMES = 0.25, 0.5, 2.2
"""Agreement of cells from which on two images are the same picture: so many times what hardly any third neighbours
reach, within these bounds."""
USUAL = 0.4, 50
"""The same where there are fewer than so many third neighbours."""
COSINE = 0.95
"""Cosine of vectors from which on images are alike, where there are no cells to compare."""
VALUES = 1 << 23
"""Cosines of cells that are in memory at once."""


@dataclass(frozen=True)
class Pair:
    """Two images, by number, that are copies; ``score`` is 1 of the same bytes, else the agreement or the cosine."""

    one: int
    other: int
    kind: Kind
    score: float


@dataclass(frozen=True)
class Copies:
    """The pairs that are copies, the surest first; ``threshold`` is the least agreement or cosine of one.

    ``compared`` counts the pairs that were looked at.
    """

    pairs: Sequence[Pair]
    threshold: float
    compared: int
    by_cells: bool


def find_copies(
    opened: Opened,
    vectors: Vectors,
    neighbours: Neighbours,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Copies:
    """Pairs of equal digests, and neighbours whose cells agree; without maps those of nearly equal vectors."""
    exact = _same_bytes(opened)
    known = {(pair.one, pair.other) for pair in exact}
    candidates = [pair for pair in _candidates(neighbours) if pair not in known]
    threshold = COSINE
    if vectors.cells is None:
        near = _alike(candidates, vectors)
    else:
        near = list(_compared(opened, vectors, candidates, progress))
        threshold = _threshold(near, neighbours)
    near = sorted(
        (pair for pair in near if pair.score >= threshold), key=lambda pair: (-pair.score, pair.one, pair.other)
    )
    return Copies(exact + near, threshold, len(candidates), vectors.cells is not None)


def _threshold(pairs: Sequence[Pair], neighbours: Neighbours) -> float:
    """The agreement from which on pairs are copies, by what third neighbours, which hardly ever are, reach."""
    if neighbours.numbers.shape[1] < NEAREST:
        return USUAL[0]
    third = {(min(n, other), max(n, other)) for n, other in enumerate(neighbours.numbers[:, NEAREST - 1].tolist())}
    usual = [pair.score for pair in pairs if (pair.one, pair.other) in third]
    if len(usual) < USUAL[1]:
        return USUAL[0]
    return float(np.clip(TIMES * np.quantile(usual, 0.99), LEAST, SURE))


def groups(pairs: Sequence[Pair], count: int) -> npt.NDArray[np.int64]:
    """(``count``,) the number of the group of copies that each image belongs to; an image without copies is one."""
    rows, columns = [pair.one for pair in pairs], [pair.other for pair in pairs]
    graph = coo_matrix((np.ones(len(pairs)), (rows, columns)), shape=(count, count))
    labels: npt.NDArray[np.int64] = connected_components(graph, directed=False)[1].astype(np.int64)
    return labels


def _same_bytes(opened: Opened) -> list[Pair]:
    """Each image with the first one of the same digest."""
    first: dict[str, int] = {}
    pairs: list[Pair] = []
    number = 0
    for part in opened.parts:
        skipped = part.cache.skipped
        for index, record in enumerate(part.cache.images):
            if index in skipped:
                continue
            if record.sha256 and (other := first.setdefault(record.sha256, number)) != number:
                pairs.append(Pair(other, number, "same bytes", 1.0))
            number += 1
    return pairs


def _candidates(neighbours: Neighbours) -> list[tuple[int, int]]:
    """Pairs of neighbours, each once, the smaller number first, at most ``MOST``, the most similar ones."""
    numbers = neighbours.numbers[:, :NEAREST]
    own = torch.arange(len(numbers))[:, None].expand_as(numbers)
    pairs = torch.stack([torch.minimum(own, numbers), torch.maximum(own, numbers)], dim=-1).flatten(0, 1)
    order = neighbours.cosines[:, :NEAREST].flatten().argsort(descending=True, stable=True)
    found = dict.fromkeys(map(tuple, pairs[order].tolist()))
    return list(found)[:MOST]


def _alike(candidates: Sequence[tuple[int, int]], vectors: Vectors) -> list[Pair]:
    """The pairs whose vectors alone say that they are copies."""
    if not candidates:
        return []
    unit, rows = vectors.unit, torch.tensor(candidates)
    cosines = (unit[rows[:, 0]] * unit[rows[:, 1]]).sum(dim=1).tolist()
    return [Pair(*pair, "alike", value) for pair, value in zip(candidates, cosines, strict=True) if value >= COSINE]


def _compared(
    opened: Opened, vectors: Vectors, candidates: Sequence[tuple[int, int]], progress: Callable[[int, int], None]
) -> Iterator[Pair]:
    """The pairs with the agreement of their cells."""
    assert vectors.mean is not None
    size = max(1, VALUES // (vectors.mean[0].numel() ** 2))
    order = sorted(candidates)  # neighbours in the caches are read together
    for start in range(0, len(order), size):
        chosen = order[start : start + size]
        for pair, share, mirrored in zip(chosen, *_agreements(opened, vectors, chosen), strict=True):
            yield Pair(*pair, "mirrored" if mirrored else "same picture", share)
        progress(min(len(order), start + size), len(order))


def _agreements(opened: Opened, vectors: Vectors, pairs: Sequence[tuple[int, int]]) -> tuple[list[float], list[bool]]:
    numbers = sorted({number for pair in pairs for number in pair})
    place = {number: n for n, number in enumerate(numbers)}
    grids = read_grids(opened, vectors, numbers)
    one, other = (torch.tensor([place[pair[side]] for pair in pairs]) for side in (0, 1))
    found = agreement(grids[one], grids[other])
    return found.share.tolist(), found.mirrored.tolist()


def read_grids(opened: Opened, vectors: Vectors, numbers: Sequence[int]) -> Grids:
    """The cells of some images, without what a cell at their place is like on average."""
    assert vectors.cells is not None and vectors.mean is not None
    layer = vectors.cells
    maps = torch.zeros(len(numbers), *vectors.mean.shape)
    masks = torch.zeros(len(numbers), 1, *vectors.mean.shape[1:], dtype=torch.bool)
    extents = torch.zeros(len(numbers), 2)
    for places, placed in opened.read(numbers):
        features = placed.tokens.features(Needs((layer.layer,)))
        cells, mask = layer.read(features, opened.info.strides[layer.layer])
        maps[places], masks[places] = (cells - vectors.mean) * mask, mask
        extents[places] = features.extent.to(extents)
    return Grids.of(maps, masks, extents, layer.stride)


def across(opened: Opened, pair: Pair) -> bool:
    """Whether both images are in different splits."""
    return bool(opened.places[pair.one, 0] != opened.places[pair.other, 0])
