"""The distance of every pixel."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from argus_core.draw import draw_depth
from argus_core.results.base import Pixels, Result


@dataclass(frozen=True)
class DepthResult(Result):
    """``metres`` (h, w), 0 where nothing is claimed; ``deviation`` (h, w) is the spread of the bins, in metres."""

    metres: npt.NDArray[np.float32] = field(repr=False)
    deviation: npt.NDArray[np.float32] = field(repr=False)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.asarray(self.metres, dtype=dtype)

    def to_dict(self) -> dict[str, Any]:
        """Metres as rows, rounded to millimetres."""
        return {"metres": np.round(self.metres.astype(np.float64), 3).tolist()}

    def draw(self) -> Pixels:
        """Depth in colours with a scale in metres."""
        return draw_depth(self.metres)
