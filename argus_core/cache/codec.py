"""Token rows to the numbers on disk and back."""

from __future__ import annotations

import torch
from torch import Tensor

from argus_core.cache.spec import DType

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
