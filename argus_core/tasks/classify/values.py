"""The target and the prediction of a classification."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class ClassTarget:
    """The class of one image: a scalar long tensor."""

    label: Tensor

    def to(self, device: torch.device | str) -> ClassTarget:
        """The same target on ``device``."""
        return ClassTarget(self.label.to(device))


@dataclass(frozen=True)
class Classes:
    """The scores (K,) of one image, the largest for the class it most likely shows.

    The head decides what a score means: most give probabilities, prototypes give cosines.
    """

    scores: Tensor

    @property
    def margin(self) -> float:
        """The best score minus the second best; of a single class, its score."""
        best = self.scores.topk(min(2, len(self.scores))).values.tolist()
        return best[0] - best[1] if len(best) > 1 else best[0]

    def top(self, k: int = 5) -> list[tuple[int, float]]:
        """The ``k`` best classes (index, score), best first; of equal scores the lower index comes first."""
        scores, labels = self.scores.sort(descending=True, stable=True)
        return list(zip(labels[:k].tolist(), scores[:k].tolist(), strict=True))
