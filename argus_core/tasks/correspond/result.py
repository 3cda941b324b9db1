"""The result of a correspondence: where points of one image lie in another."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from argus_core.draw import draw_matches
from argus_core.draw.palette import Pixels
from argus_core.tasks.correspond.descriptors import Found, Points
from argus_core.tasks.result import Result, size_text


@dataclass(frozen=True, repr=False)
class MatchResult(Result):
    """``matches`` are the points of ``other`` that match ``points`` of ``image``; x, y pixels, nan if there is none."""

    other: Pixels = field(repr=False)
    points: Points
    matches: Found

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.asarray(self.matches.points, dtype=dtype)

    def __repr__(self) -> str:
        sizes = f"{size_text(self.image)} to {size_text(self.other)}"
        return f"{type(self).__name__}({self.summary()}; {sizes})"

    @property
    def matched(self) -> npt.NDArray[np.bool_]:
        """(N,): which points have a match."""
        pairs = np.concatenate([self.matches.points, self.matches.scores[:, None]], axis=1)
        matched: npt.NDArray[np.bool_] = np.isfinite(pairs).all(axis=1)
        return matched

    def summary(self) -> str:
        """How many points have a match, how many of these lead back, and the cosines."""
        matched, mutual = self.matched, self.matches.mutual
        back = "" if mutual is None else f", {int((mutual & matched).sum())} mutual"
        scores = self.matches.scores[matched]
        cosines = f"; cosine {scores.min():.2f} to {scores.max():.2f}" if len(scores) else ""
        return f"{int(matched.sum())} of {len(matched)} points matched{back}{cosines}"

    def to_dict(self) -> dict[str, Any]:
        """Both sides of every match, None where there is none, and its cosine.

        ``mutual`` is whether a match leads back to where it began, if the head matched in both directions.
        """
        mutual = self.matches.mutual
        backs = [{}] * len(self.points) if mutual is None else [{"mutual": flag} for flag in mutual.tolist()]
        rows = zip(self.points.tolist(), self.matches.points.tolist(), self.matches.scores.tolist(), strict=True)
        return {
            "matches": [
                {"point": point, "match": match if matched else None, "score": score if matched else None, **back}
                for (point, match, score), matched, back in zip(rows, self.matched.tolist(), backs, strict=True)
            ]
        }

    def draw(self) -> Pixels:
        """Both images side by side, matches joined by lines; those that are not mutual are faint."""
        matches = self.matches
        return draw_matches(self.image, self.other, self.points, matches.points, matches.scores, mutual=matches.mutual)
