"""The prediction of a task that brings no result type of its own."""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np
from torch import Tensor

from argus_core.results.base import Pixels, Result


@dataclass(frozen=True)
class PlainResult(Result):
    """``prediction`` is the task's own, in image pixels."""

    prediction: Any

    def to_dict(self) -> dict[str, Any]:
        """The fields of the prediction, tensors and arrays as lists."""
        if is_dataclass(self.prediction):
            return {each.name: _plain(getattr(self.prediction, each.name)) for each in fields(self.prediction)}
        return {"prediction": _plain(self.prediction)}

    def draw(self) -> Pixels:
        """The image as it is: only the task would know how to show its prediction."""
        return self.image


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, Tensor | np.ndarray) else value
