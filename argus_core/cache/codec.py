"""How rows of numbers are stored, in one tensor or several, and read again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from argus_core.common.dtypes import parse_dtype

Rows = npt.NDArray[Any]
"""Stored rows. They are read by numpy alone: torch takes all cores, also from a thread beside heads that have them
all, and costs more for an image than the copy of a small one, as its code left the processor's caches at the last copy.
"""
Part = Callable[[str], Rows]
"""Gives the stored tensor (h, w, ...) of a prefix, for the rows that are read."""
GROUP = 32
"""Channels that share the least value and the step of int4."""


class Codec(Protocol):
    """A number format; ``parts`` are the prefixes of the names of its stored tensors."""

    parts: tuple[str, ...]
    dtype: torch.dtype
    """What rows are decoded to."""

    def row_bytes(self, width: int) -> int:
        """Bytes that a row of ``width`` numbers takes."""
        ...

    def encode(self, rows: Tensor) -> Mapping[str, Tensor]:
        """The stored tensors of (N, C) float32 rows, by prefix.

        A value that is not finite, or does not fit, makes a stored floating-point number of its row not finite.
        """
        ...

    def decode(self, out: Rows, part: Part) -> None:
        """Write the rows whose stored tensors ``part`` gives into ``out`` (h, w, C)."""
        ...


class Plain:
    """Floating-point numbers."""

    parts: tuple[str, ...] = ("",)

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype

    def row_bytes(self, width: int) -> int:
        """Those of the numbers."""
        return width * self.dtype.itemsize

    def encode(self, rows: Tensor) -> Mapping[str, Tensor]:
        """The rows, rounded."""
        return {"": rows.to(self.dtype)}

    def decode(self, out: Rows, part: Part) -> None:
        """Copy; bfloat16 as integers."""
        np.copyto(out, part(""))


class Int8:
    """A float32 scale for each row: its numbers are those stored, -127 to 127, times the scale."""

    parts: tuple[str, ...] = ("", "scale.")
    dtype: torch.dtype = torch.float32

    def row_bytes(self, width: int) -> int:
        """A byte for each number, and the scale."""
        return width + torch.float32.itemsize

    def encode(self, rows: Tensor) -> Mapping[str, Tensor]:
        """The largest magnitude becomes 127."""
        scale = rows.abs().amax(dim=1) / 127  # (N,)
        safe = torch.where(scale > 0, scale, 1.0)
        stored = (rows / safe[:, None]).round().nan_to_num().clamp(-127, 127).to(torch.int8)
        return {"": stored, "scale.": scale}

    def decode(self, out: Rows, part: Part) -> None:
        """Multiply by the scales."""
        np.multiply(part(""), part("scale.")[..., None], out=out)


class Int4:
    """Sixteen levels for each ``GROUP`` of channels of a row: its ``least`` value, and from there equal steps.

    Both are float16, rounded outwards, so that all values lie between the first level and the last. A byte holds a
    channel of the row's first half in its low bits, and in its high bits the one of the other half at the same place.
    """

    parts: tuple[str, ...] = ("", "least.", "step.")
    dtype: torch.dtype = torch.float32

    def row_bytes(self, width: int) -> int:
        """Half a byte for each number, and two numbers for each group."""
        return -(-width // 2) + 2 * torch.float16.itemsize * -(-width // GROUP)

    def encode(self, rows: Tensor) -> Mapping[str, Tensor]:
        """The nearest levels."""
        channels = rows.shape[1]
        last = rows[:, -1:].expand(-1, -channels % GROUP)
        groups = torch.cat([rows, last], dim=1).unflatten(1, (-1, GROUP))  # (N, G, GROUP)
        least = _half_below(groups.amin(2))
        step = -_half_below((least.float() - groups.amax(2)) / 15)
        safe = torch.where(step > 0, step, 1.0).float()
        levels = ((groups - least.float()[..., None]) / safe[..., None]).round().nan_to_num().clamp(0, 15)
        levels = levels.to(torch.uint8).flatten(1)[:, :channels]
        low, high = levels.split([-(-channels // 2), channels // 2], dim=1)
        high = torch.nn.functional.pad(high, (0, low.shape[1] - high.shape[1]))
        return {"": low | (high << 4), "least.": least, "step.": step}

    def decode(self, out: Rows, part: Part) -> None:
        """Unpack the levels, and scale them by groups."""
        stored, channels = part(""), out.shape[-1]
        half = stored.shape[-1]
        np.bitwise_and(stored, 15, out=out[..., :half], casting="unsafe")
        np.right_shift(stored[..., : channels - half], 4, out=out[..., half:], casting="unsafe")
        least, step = part("least.").astype(np.float32), part("step.").astype(np.float32)
        whole = channels // GROUP
        for groups, some in zip((slice(0, whole), slice(whole, None)), np.split(out, [whole * GROUP], -1), strict=True):
            if some.shape[-1]:
                values = some.reshape(*some.shape[:2], least[..., groups].shape[-1], -1)
                values *= step[..., groups, None]
                values += least[..., groups, None]


def _half_below(x: Tensor) -> Tensor:
    """The float16 numbers that are at most ``x``, and next to it or nearly so."""
    near = x.half()
    return torch.where(near.float() > x, (x - x.abs() * 2**-10 - 2**-24).half(), near)


CODECS: Mapping[str, Codec] = {
    "fp32": Plain(torch.float32),
    "fp16": Plain(torch.float16),
    "bf16": Plain(torch.bfloat16),
    "int8": Int8(),
    "int4": Int4(),
}


@lru_cache
def codec_of(dtype: str) -> Codec:
    """What stores the numbers of a cache dtype; of ``pca-64`` these are the components."""
    return CODECS[parse_dtype(dtype).numbers]


def row_bytes(channels: int, dtype: str) -> int:
    """Bytes that one token takes on disk."""
    return codec_of(dtype).row_bytes(parse_dtype(dtype).width(channels))
