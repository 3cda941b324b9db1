"""The prediction of a task that brings no result type of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np
from torch import Tensor

from argus_core.results.base import Pixels, Result

__all__ = ["PlainResult"]


@dataclass(frozen=True)
class PlainResult(Result):
    """``prediction`` is the task's own, in image pixels."""

    prediction: Any

    def to_dict(self) -> dict[str, Any]:
        """The fields of the prediction, those of its parts among them; tensors and arrays as lists."""
        found = _plain(self.prediction)
        return found if is_dataclass(self.prediction) else {"prediction": found}

    def draw(self) -> Pixels:
        """The image as it is: only the task would know how to show its prediction."""
        return self.image


def _plain(value: Any) -> Any:
    if isinstance(value, Tensor | np.ndarray | np.generic):
        return value.tolist()
    if is_dataclass(value):
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value
