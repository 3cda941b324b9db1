"""The result for users: vectors, and the usual picture of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from argus_core import Result

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class NormalsResult(Result):
    """``normals`` (h, w, 3): unit vectors in camera axes (x right, y down, z forward); 0 where nothing is predicted."""

    normals: npt.NDArray[np.float32] = field(repr=False)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.asarray(self.normals, dtype=dtype)

    def to_dict(self) -> dict[str, Any]:
        """The vectors as rows, rounded to four decimals."""
        return {"normals": self.normals.astype(np.float64).round(4).tolist()}

    def draw(self) -> Pixels:
        """Red to the right, green up, blue towards the camera: (n + 1) / 2; pixels without a prediction are grey."""
        shares = (self.normals * (1, -1, -1) + 1) / 2
        picture: Pixels = np.rint(255 * shares).astype(np.uint8)
        return picture
