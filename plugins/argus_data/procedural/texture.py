"""Solid textures: a colour for every point of space, so that a surface looks the same from everywhere."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from argus_data.procedural import FloatArray

KNOTS = 64
PATTERNS = ("plain", "stripes", "checker", "dots", "noise")


@dataclass(frozen=True)
class Texture:
    """A pattern that mixes two (3,) RGB colours in 0..1, with ``frequency`` periods per metre."""

    pattern: str
    colours: FloatArray  # (2, 3)
    frequency: float
    phase: FloatArray  # (3,)
    axis: FloatArray  # (3,), for stripes

    def colour(self, points: FloatArray, contrast: FloatArray | float = 1.0) -> FloatArray:
        """(3, n) RGB at (3, n) points in metres; ``contrast`` 0 gives the mean colour."""
        share = self.share(points * self.frequency + self.phase[:, None])
        share = 0.5 + (share - 0.5) * contrast
        first, second = self.colours[:, :, None]
        return first + (second - first) * share

    def share(self, p: FloatArray) -> FloatArray:
        """(n,) share of the second colour at (3, n) points in periods."""
        if self.pattern == "stripes":
            along = p[0] * self.axis[0] + p[1] * self.axis[1] + p[2] * self.axis[2]
            return np.clip(4.0 * np.abs(along - np.floor(along) - 0.5) - 0.5, 0.0, 1.0)
        if self.pattern == "checker":
            whole = np.floor(p)
            return (whole[0] + whole[1] + whole[2]) % 2.0
        if self.pattern == "dots":
            q = p - np.floor(p) - 0.5
            return np.clip(6.0 * (0.42 - np.sqrt(q[0] ** 2 + q[1] ** 2 + q[2] ** 2)), 0.0, 1.0)
        if self.pattern == "noise":
            return noise(p[0] + 0.7 * p[1], p[2] - 0.6 * p[1], octaves=2)
        return np.full(p.shape[1:], 0.15)


def noise(x: FloatArray, y: FloatArray, octaves: int) -> FloatArray:
    """Smooth value noise in 0..1 with one knot per unit; each octave doubles the detail and halves the weight."""
    total, weight = np.zeros(x.shape), 0.0
    for octave in range(octaves):
        scale = 2.0**octave
        total += _lattice(x * scale + 17.0 * octave, y * scale) / scale
        weight += 1.0 / scale
    return total / weight


def _lattice(x: FloatArray, y: FloatArray) -> FloatArray:
    """Noise with one knot per unit, of period ``KNOTS`` in x and y."""
    left, top = np.floor(x), np.floor(y)
    u, v = x - left, y - top
    u, v = u * u * (3.0 - 2.0 * u), v * v * (3.0 - 2.0 * v)
    i, j = left.astype(np.int64), top.astype(np.int64)
    i, next_i = (i & (KNOTS - 1)), ((i + 1) & (KNOTS - 1))
    j, next_j = (j & (KNOTS - 1)) * KNOTS, ((j + 1) & (KNOTS - 1)) * KNOTS
    knots = _knots()
    upper, lower = knots.take(i + j), knots.take(i + next_j)
    upper += (knots.take(next_i + j) - upper) * u
    lower += (knots.take(next_i + next_j) - lower) * u
    return upper + (lower - upper) * v


@cache
def _knots() -> FloatArray:
    """A fixed number in 0..1 per knot, by hashing its two indices."""
    i, j = np.divmod(np.arange(KNOTS * KNOTS, dtype=np.int64), KNOTS)
    mixed = ((i * 73856093) ^ (j * 19349663)) & 0x7FFFFFFF
    mixed = ((mixed ^ (mixed >> 13)) * 1274126177) & 0x7FFFFFFF
    return ((mixed ^ (mixed >> 11)) & 0xFFFF) / 65535.0
