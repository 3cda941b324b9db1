"""Which rows of a shard belong to which pass: only a canvas's cells that hold image are stored."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from torch import Tensor

from argus_core.cache.spec import FORMAT
from argus_core.tokens import FeatureInfo, Needs, Tokens, cell_mask

IntArray = npt.NDArray[np.int64]


def valid_grid(extent: IntArray, stride: int) -> IntArray:
    """Rows and columns (..., 2) of the cells with image, for extents (..., 2) in canvas pixels."""
    return -(-extent // stride)


def prefix_rows(info: FeatureInfo, version: int = FORMAT) -> int:
    """Tokens before the patches that a format stores of a pass: CLS, which heads read, or all of them in format 2."""
    return max(info.prefix, 1) if version == 2 else 1


def names(needs: Needs) -> Iterator[tuple[str, int]]:
    """The stored tensors of resolved needs, in order, each with its layer."""
    for layer in needs.layers:
        if needs.maps:
            yield f"maps.{layer}", layer
        if needs.cls:
            yield f"prefix.{layer}", layer


def rows_of(tokens: Tokens, name: str, layer: int, prefix: int = 1) -> Tensor:
    """The (N, C) rows of one stored tensor: cells with image, or the first ``prefix`` tokens, in item order."""
    if name.startswith("prefix"):
        return tokens.prefix[layer][:, :prefix].flatten(0, 1)
    cells = tokens.maps[layer].permute(0, 2, 3, 1)  # (B, h, w, C)
    mask = cell_mask(tokens.extent, tokens.info.strides[layer], (cells.shape[1], cells.shape[2]))[:, 0]
    return cells.flatten(0, 2) if bool(mask.all()) else cells[mask]


def rows_per_pass(info: FeatureInfo, name: str, layer: int, extent: IntArray, prefix: int = 1) -> IntArray:
    """How many rows (N,) each of N passes with ``extent`` (N, 2) has; none where the extent is zero (skipped)."""
    if name.startswith("prefix"):
        return (extent[:, 0] > 0) * prefix
    counts: IntArray = valid_grid(extent, info.strides[layer]).prod(axis=1)
    return counts


def first_rows(rows: IntArray, views: int, shard_images: int) -> IntArray:
    """(N,) first row of each image within its shard, given its ``rows`` per pass."""
    before = np.concatenate([[0], np.cumsum(rows * views)])
    start = np.arange(len(rows)) // shard_images * shard_images
    first: IntArray = before[:-1] - before[start]
    return first
