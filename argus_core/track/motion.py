"""How a box moves: a Kalman filter of constant velocity, in pixels and seconds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.float64]
NOISE = 0.05
"""Standard deviation of a measured centre or side, by the scale of the box: that of ByteTrack."""
UNREST = 1.0
"""What velocity gains in the square root of a second, in scales per second: ByteTrack's at 30 frames per second."""
FIRST_SPEED = 2.0
"""Standard deviation of the velocity of a new box, in scales per second, likewise."""
LEAST_TRUST = 0.2
"""What a covered box is worth at least, whose variance is divided by it: its visible part tells little of the whole."""
GATE = 30.0
"""How far, squared, a box may be from where it is expected; wide, as nobody has to walk on while hidden."""
LEAST = 1.0
"""Pixels of the smallest side that is predicted."""


@dataclass(frozen=True)
class Motion:
    """Centre and sides of a box with their velocities; uncertainties are relative to its scale, the root of its area.

    The four coordinates are independent and have the same noise, so one covariance serves all of them. Noise grows with
    the time between frames, so that the rate of frames does not matter.
    """

    mean: Array  # (2, 4): centre x, centre y, width, height in px, and how each changes in px per second
    covariance: Array  # (2, 2) of a coordinate and its velocity, in scales

    @classmethod
    def begin(cls, box: Array) -> Motion:
        """Of a box (4,) x1, y1, x2, y2 that was seen for the first time."""
        return cls(np.stack([_centred(box), np.zeros(4)]), np.diag([NOISE**2, FIRST_SPEED**2]))

    def predict(self, seconds: float) -> Motion:
        """As it is expected after some time."""
        step = np.array([[1.0, seconds], [0.0, 1.0]])
        grown = np.array([[seconds**3 / 3, seconds**2 / 2], [seconds**2 / 2, seconds]])
        mean = step @ self.mean
        mean[0, 2:] = np.maximum(mean[0, 2:], LEAST)
        return Motion(mean, step @ self.covariance @ step.T + UNREST**2 * grown)

    def update(self, box: Array, clear: float = 1.0) -> Motion:
        """After a box (4,) was measured, of which a share in 0..1 is ``clear``."""
        gain = self.covariance[:, 0] / (self.covariance[0, 0] + NOISE**2 / max(clear, LEAST_TRUST))
        mean = self.mean + gain[:, None] * (_centred(box) - self.mean[0])
        return Motion(mean, self.covariance - np.outer(gain, self.covariance[0]))

    def hide(self) -> Motion:
        """While nothing is measured, the sides stay as they are."""
        mean = self.mean.copy()
        mean[1, 2:] = 0.0
        return replace(self, mean=mean)

    @cached_property
    def box(self) -> Array:
        """(4,) x1, y1, x2, y2."""
        centre, half = self.mean[0, :2], self.mean[0, 2:] / 2
        return np.concatenate([centre - half, centre + half])

    def distances(self, boxes: Array) -> Array:
        """(N,): squared Mahalanobis distances of boxes (N, 4), which have chi-squared's distribution of 4 degrees."""
        scale = self.mean[0, 2] * self.mean[0, 3]
        variance = scale * (self.covariance[0, 0] + NOISE**2)
        return ((_centred(boxes) - self.mean[0]) ** 2).sum(axis=1) / variance


def _centred(boxes: Array) -> Array:
    """(..., 4): centre, width and height."""
    near, far = boxes[..., :2], boxes[..., 2:]
    return np.concatenate([(near + far) / 2, far - near], axis=-1)
