"""A pinhole camera: rays out, points in."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np

from argus_data.procedural import FloatArray

Direction = tuple[float, float]
"""An angle as its cosine and sine."""


def direction(tangent: float) -> Direction:
    """The angle with this tangent, between -90 and 90 degrees."""
    cosine = 1.0 / sqrt(1.0 + tangent * tangent)
    return cosine, tangent * cosine


@dataclass(frozen=True)
class Camera:
    """Square pixels, principal point in the image's centre; pixel ``i`` covers ``[i, i + 1)``.

    ``size`` is (height, width) and ``focal`` a length in pixels; ``yaw`` turns to the right, ``pitch`` down.
    """

    size: tuple[int, int]
    focal: float
    position: tuple[float, float, float]
    yaw: Direction = (1.0, 0.0)
    pitch: Direction = (1.0, 0.0)

    @property
    def intrinsics(self) -> FloatArray:
        """The (3, 3) matrix from camera metres to homogeneous pixels."""
        height, width = self.size
        return np.array([[self.focal, 0, width / 2], [0, self.focal, height / 2], [0, 0, 1.0]])

    @property
    def axes(self) -> FloatArray:
        """(3, 3): row k is the camera's k-th axis (right, down, forward) in world coordinates."""
        (cy, sy), (cp, sp) = self.yaw, self.pitch
        return np.array([[cy, 0, -sy], [-sy * sp, cp, -cy * sp], [sy * cp, sp, cy * cp]])

    def finer(self, factor: int) -> Camera:
        """The same view with ``factor`` times the pixels per side."""
        height, width = self.size
        return Camera((height * factor, width * factor), self.focal * factor, self.position, self.yaw, self.pitch)

    def rays(self) -> FloatArray:
        """(3, h, w) world directions through the pixel centres, of such length that one unit is one metre of depth."""
        height, width = self.size
        y, x = np.arange(height)[:, None] + 0.5, np.arange(width)[None, :] + 0.5
        return self.rays_through(np.broadcast_to(x, self.size), np.broadcast_to(y, self.size))

    def rays_through(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """(3, ...) world directions through image points, scaled as in ``rays``."""
        right, down, forward = self.axes
        u, v = (x - self.size[1] / 2) / self.focal, (y - self.size[0] / 2) / self.focal
        return np.stack([right[k] * u + down[k] * v + forward[k] for k in range(3)])

    def to_camera(self, points: FloatArray) -> FloatArray:
        """(3, ...) world points in camera axes; the last row is the depth in metres."""
        x, y, z = (points[k] - self.position[k] for k in range(3))
        return np.stack([a * x + b * y + c * z for a, b, c in self.axes])

    def project(self, points: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(3, ...) world points to (..., 2) x, y pixels and (...) depths; what lies behind has no meaningful pixel."""
        x, y, z = self.to_camera(points)
        safe = np.where(z > 0, z, np.nan)
        pixels = np.stack([x / safe * self.focal + self.size[1] / 2, y / safe * self.focal + self.size[0] / 2], -1)
        return pixels, z
