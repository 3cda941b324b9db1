"""Anything that holds numbers as nested plain data, so that two of them can be compared."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from torch import Tensor


def plain(value: Any) -> Any:
    """Tensors and arrays as dtype, shape and numbers, objects by their attributes."""
    if isinstance(value, Tensor | np.ndarray):
        return [str(value.dtype), list(value.shape), value.tolist()]
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if hasattr(value, "__dict__") and not callable(value):
        return [type(value).__name__, plain(vars(value))]
    return value


def same(first: Any, second: Any) -> bool:
    """Whether two values hold the same, number by number; nan is like nan."""
    return repr(plain(first)) == repr(plain(second))


def through_json(value: Any, what: str, allow_nan: bool = True) -> Any:
    """A value as it comes back from JSON; AssertionError, naming ``what`` it is, if it is no plain data."""
    try:
        return json.loads(json.dumps(value, allow_nan=allow_nan))
    except (TypeError, ValueError) as error:
        raise AssertionError(f"{what} is not plain JSON: {error}; use numbers, texts and lists of Python") from error


def tensors(value: Any) -> Iterator[Tensor]:
    """Every tensor in a value, its attributes and their parts, in order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple | Mapping) or (hasattr(value, "__dict__") and not callable(value)):
        inside = value if isinstance(value, list | tuple | Mapping) else vars(value)
        for each in inside.values() if isinstance(inside, Mapping) else inside:
            yield from tensors(each)
