"""The prediction of a task that brings no result type of its own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np
from torch import Tensor

from argus_core.draw.palette import Pixels
from argus_core.results.base import Result

__all__ = ["PlainResult"]


@dataclass(frozen=True, repr=False)
class PlainResult(Result):
    """``prediction`` is the task's own, in image pixels."""

    prediction: Any

    def summary(self) -> str:
        """The type of the prediction, and the shapes of its fields."""
        told = self.prediction
        parts = {each.name: getattr(told, each.name) for each in fields(told)} if is_dataclass(told) else {"": told}
        shapes = [f"{name} {_brief(value)}".strip() for name, value in parts.items()]
        return f"{type(told).__name__}: {', '.join(shapes)}" if is_dataclass(told) else shapes[0]

    def to_dict(self) -> dict[str, Any]:
        """The fields of the prediction, those of its parts among them; tensors and arrays as lists, nan as None.

        What JSON has no word for is told as text.
        """
        found = _plain(self.prediction)
        return found if is_dataclass(self.prediction) else {"prediction": found}

    def draw(self) -> Pixels:
        """The image as it is: only the task would know how to show its prediction."""
        return self.image


def _brief(value: Any) -> str:
    """A number or a short text as it is; of anything larger its type, and its shape or length."""
    if isinstance(value, Tensor | np.ndarray):
        return f"({', '.join(map(str, value.shape))})" if value.ndim else f"{value.item():.4g}"
    if isinstance(value, Mapping | list | tuple | set):
        return f"{type(value).__name__} of {len(value)}"
    text = repr(value)
    return text if len(text) <= 24 and "\n" not in text else type(value).__name__


def _plain(value: Any) -> Any:
    if isinstance(value, Tensor | np.ndarray | np.generic):
        return _plain(value.tolist())
    if is_dataclass(value):
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | int) else str(value)
