"""The result of metric depth: the distance of every pixel."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from argus_core.draw import draw_depth
from argus_core.draw.palette import Pixels
from argus_core.draw.panel import resized_map
from argus_core.tasks.result import Result, size_text


@dataclass(frozen=True, repr=False)
class DepthResult(Result):
    """``metres`` (h, w), 0 where nothing is claimed; ``deviation`` (h, w) is the spread of the bins, in metres."""

    metres: npt.NDArray[np.float32] = field(repr=False)
    deviation: npt.NDArray[np.float32] = field(repr=False)

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.asarray(self.metres, dtype=dtype)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({size_text(self.image)}, {self.summary()})"

    def summary(self) -> str:
        """Nearest, farthest and median depth."""
        values = self.to_dict()
        return (
            "unknown" if values["median"] is None else "{min:.1f} to {max:.1f} m, median {median:.1f}".format(**values)
        )

    def headline(self) -> str:
        """The median depth."""
        values = self._known()
        return f"depth, median {np.median(values):.1f} m" if len(values) else "depth"

    def _known(self) -> npt.NDArray[np.float32]:
        """(N,): the metres of the pixels whose depth is known."""
        return self.metres[np.isfinite(self.metres) & (self.metres > 0)]

    def to_dict(self, file: str | None = None) -> dict[str, Any]:
        """``size`` (height, width), and ``min``, ``max``, ``median`` of the metres that are known, None if none are.

        ``known`` is their share of the image; ``file`` says where the map itself is kept. The map is ``metres``.
        """
        values = self._known()
        numbers = (values.min(), values.max(), np.median(values)) if len(values) else (None, None, None)
        rounded = [None if number is None else round(float(number), 3) for number in numbers]
        return {
            "size": list(self.metres.shape),
            "unit": "m",
            **dict(zip(("min", "max", "median"), rounded, strict=True)),
            "known": round(len(values) / self.metres.size, 4),
            **({"file": file} if file is not None else {}),
        }

    def draw(self) -> Pixels:
        """Depth in colours with a scale in metres."""
        return draw_depth(self.metres)

    def tile(self, size: tuple[int, int]) -> Pixels:
        """The same for an image of ``size``, the scale below."""
        return draw_depth(resized_map(self.metres, size), below=True)
