"""Which rows of a shard belong to which pass, and token rows as numbers on disk."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from argus_core.cache.spec import FORMAT, DType
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


_TORCH = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16, "int8": torch.int8}


def encode(rows: Tensor, dtype: DType) -> tuple[Tensor, Tensor | None]:
    """Store (N, C) float32 rows; int8 also gives (N,) float32 scales, so that ``rows = stored * scale``.

    A value that is not finite, or not in fp16, makes its stored row or scale not finite.
    """
    if dtype != "int8":
        return rows.to(_TORCH[dtype]), None
    scale = rows.abs().amax(dim=1) / 127  # (N,)
    safe = torch.where(scale > 0, scale, 1.0)
    return (rows / safe[:, None]).round().nan_to_num().clamp(-127, 127).to(torch.int8), scale


def decode_into(out: Tensor, stored: Tensor, scale: Tensor | None) -> None:
    """Write (..., C) stored rows, times their (...) scales, into ``out`` of the same shape."""
    if scale is None:
        out.copy_(stored)
    else:
        torch.mul(stored, scale[..., None], out=out)


def read_dtype(dtype: DType) -> torch.dtype:
    """The number format of tokens read back: as stored, but float32 for int8."""
    return torch.float32 if dtype == "int8" else _TORCH[dtype]


def row_bytes(channels: int, dtype: DType) -> int:
    """Bytes that one token takes on disk."""
    return channels * _TORCH[dtype].itemsize + (torch.float32.itemsize if dtype == "int8" else 0)
