"""Whether two vectors are of one object, on a scale that is learned from the film itself."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from argus_core.track.motion import Array

WEIGHT = 20.0
"""How many pairs the first guess is worth."""
FADING = 0.995
"""What a pair is worth after the next one of its kind."""


@dataclass
class Running:
    """A mean in which earlier values count less and less."""

    mean: float
    weight: float = WEIGHT

    def add(self, values: Array) -> None:
        """Take in values (N,)."""
        for value in values.tolist():
            self.weight = self.weight * FADING + 1.0
            self.mean += (value - self.mean) / self.weight


@dataclass
class Likeness:
    """Cosine distances between an object and itself in the next frames, and between objects of one frame.

    How large both are depends on the backbone, so no fixed threshold would do.
    """

    same: Running = field(default_factory=lambda: Running(0.02))
    other: Running = field(default_factory=lambda: Running(0.2))

    def learn(self, distances: Array, pairs: list[tuple[int, int]]) -> None:
        """From distances (T, D) of identities to boxes of a frame, of which ``pairs`` belong together."""
        for row, column in pairs:
            self.same.add(distances[row, column : column + 1])
            self.other.add(np.delete(distances[row], column))

    def __call__(self, distances: Array) -> Array:
        """1 for what is as near as an object to itself, 0 for what is as far as others, beyond 0..1 likewise."""
        return (self.other.mean - distances) / max(self.other.mean - self.same.mean, 1e-6)
