"""Comparison of values: bit for bit, up to rounding, and of any objects as nested plain data."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

TOLERANCE = 1e-4
"""Relative difference that another order of summation may make in float32."""


def all_equal(first: Sequence[Tensor], second: Sequence[Tensor]) -> bool:
    """Whether two lists of tensors are the same bit for bit."""
    return len(first) == len(second) and all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def largest_difference(first: Sequence[Tensor], second: Sequence[Tensor]) -> float:
    """The largest difference of two lists of tensors, relative to the largest value (at least 1) of the first."""
    pairs = [(a, b) for a, b in zip(first, second, strict=True) if a.numel()]
    return max((float((a - b).abs().max() / a.abs().max().clamp(min=1)) for a, b in pairs), default=0.0)


def plain(value: Any) -> Any:
    """Tensors and arrays as dtype, shape and numbers, objects by their attributes."""
    if isinstance(value, Tensor | np.ndarray):
        return [str(value.dtype), list(value.shape), value.tolist()]
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return [type(value).__name__, plain(vars(value))] if _has_parts(value) else value


def same(first: Any, second: Any) -> bool:
    """Whether two values are equal, number by number; nan equals nan."""
    return repr(plain(first)) == repr(plain(second))


def through_json(value: Any, what: str, allow_nan: bool = True) -> Any:
    """A value after a round trip through JSON; AssertionError, naming it by ``what``, if it is no plain data."""
    try:
        return json.loads(json.dumps(value, allow_nan=allow_nan))
    except (TypeError, ValueError) as error:
        raise AssertionError(f"{what} is not plain JSON: {error}; use numbers, texts and lists of Python") from error


def tensors(value: Any) -> Iterator[Tensor]:
    """Every tensor in a value, its attributes and their parts, in order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from tensors(item)
    elif isinstance(value, Mapping) or _has_parts(value):
        yield from tensors([*(value if isinstance(value, Mapping) else vars(value)).values()])


def _has_parts(value: Any) -> bool:
    return hasattr(value, "__dict__") and not callable(value)
