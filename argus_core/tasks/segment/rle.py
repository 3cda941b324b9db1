"""Masks as short texts: the compressed run lengths of COCO, which its tools and others read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from argus_core.errors import ArgusError

FIRST = 48
"""The letter that stands for 0; each letter holds five bits and, as a sixth, whether more follow."""


def encode_mask(mask: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """A mask (h, w) as ``{"size": [h, w], "counts": text}``, plain JSON values."""
    return encode_labels(mask, [True])[0]


def encode_labels(labels: npt.NDArray[Any], chosen: Sequence[Any]) -> list[dict[str, Any]]:
    """The masks of the ``chosen`` labels in ``labels`` (h, w), as from ``encode_mask``, in one pass over the pixels."""
    flat = labels.T.reshape(-1)
    ends = np.concatenate([np.flatnonzero(flat[1:] != flat[:-1]) + 1, [flat.size]])
    values = flat[ends - 1]
    size = [int(length) for length in labels.shape]
    return [{"size": size, "counts": "".join(_letters(_counts(values == label, ends)))} for label in chosen]


def _counts(inside: npt.NDArray[np.bool_], ends: npt.NDArray[np.intp]) -> list[int]:
    """Lengths of runs outside and inside a mask in turn, outside first; neighbours that are alike are joined."""
    last = np.append(inside[1:] != inside[:-1], True)
    counts: list[int] = np.diff(ends[last], prepend=0).tolist()
    return [0, *counts] if inside[0] else counts


def decode_mask(encoded: Mapping[str, Any]) -> npt.NDArray[np.bool_]:
    """The mask (h, w) that ``encode_mask`` or COCO's tools wrote; raises ArgusError for anything else."""
    size, counts = encoded.get("size"), encoded.get("counts")
    if not (isinstance(counts, str | bytes) and isinstance(size, list | tuple) and len(size) == 2):
        raise ArgusError(f"an encoded mask has 'size' [h, w] and 'counts' as text, not {dict(encoded)}")
    height, width = int(size[0]), int(size[1])
    runs = _numbers(counts if isinstance(counts, str) else counts.decode("ascii"))
    if min(runs, default=0) < 0 or sum(runs) != height * width:
        raise ArgusError(f"the counts of a mask of {height}x{width} px cover {sum(runs)} pixels; they are damaged")
    flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return np.ascontiguousarray(flat.reshape(width, height).T)


def _letters(counts: Sequence[int]) -> Iterator[str]:
    """Numbers as text: the fourth and later as differences from the one two before, five bits a letter."""
    for place, count in enumerate(counts):
        left, more = count - counts[place - 2] if place > 2 else count, True
        while more:
            bits, left = left & 31, left >> 5
            more = left != (-1 if bits & 16 else 0)
            yield chr(FIRST + bits + 32 * more)


def _numbers(text: str) -> list[int]:
    """The inverse of ``_letters``."""
    read: list[int] = []
    number = shift = 0
    for letter in text:
        bits = ord(letter) - FIRST
        number |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            sign = 1 << shift if bits & 16 else 0
            read.append(number - sign + (read[-2] if len(read) > 2 else 0))
            number = shift = 0
    return read
