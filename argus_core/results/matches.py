"""Where points of one image lie in another."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from argus_core.draw import draw_matches
from argus_core.results.base import Pixels, Result
from argus_core.tasks.described import Found, Points


@dataclass(frozen=True)
class MatchResult(Result):
    """``found`` holds the points of ``other`` that match ``points`` of ``image``; x, y pixels, nan where none."""

    other: Pixels = field(repr=False)
    points: Points
    found: Found

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return np.asarray(self.found.points, dtype=dtype)

    def to_dict(self) -> dict[str, Any]:
        """Both sides of every match, None where there is none, and its cosine."""
        rows = zip(self.points.tolist(), self.found.points.tolist(), self.found.scores.tolist(), strict=True)
        return {
            "matches": [
                {"point": point, "match": match, "score": score}
                if np.isfinite([*match, score]).all()
                else {"point": point, "match": None, "score": None}
                for point, match, score in rows
            ]
        }

    def draw(self) -> Pixels:
        """Both images side by side, matches joined by lines."""
        return draw_matches(self.image, self.other, self.points, self.found.points, self.found.scores)
