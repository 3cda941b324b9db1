"""Where rays meet the five solids.

Every solid stands on y = 0 in the unit frame: x and z in [-0.5, 0.5], y (down) in [-1, 0]. ``origin`` is (3, 1) or
(3, n), ``direction`` (3, n), both outside the solid. A hit is the distance in units of ``direction`` (n,), inf where
the ray misses, with the outward normal (3, n), which need not have length one.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from argus_data.procedural import FloatArray

Hit = tuple[FloatArray, FloatArray]
TINY = 1e-12


def ball(origin: FloatArray, direction: FloatArray) -> Hit:
    """A sphere of radius 0.5."""
    o = _raised(origin)
    near, _ = _roots(dot(direction, direction), dot(o, direction), dot(o, o) - 0.25)
    near = _kept(near, near > 0)
    return near, _at(o, direction, near)


def box(origin: FloatArray, direction: FloatArray) -> Hit:
    """The whole unit frame."""
    return _slab(_raised(origin), direction, (0.5, 0.5, 0.5))


def cone(origin: FloatArray, direction: FloatArray) -> Hit:
    """Apex up, base radius 0.5; the base is never seen from above the ground."""
    o = origin + np.array([[0.0], [1.0], [0.0]])
    weights = np.array([[1.0], [-0.25], [1.0]])
    roots = _roots(*(dot(p * weights, q) for p, q in ((direction, direction), (o, direction), (o, o))))
    heights = [o[1] + direction[1] * _finite(t) for t in roots]
    near, far = (_kept(t, (t > 0) & (y >= 0) & (y <= 1)) for t, y in zip(roots, heights, strict=True))
    distance = np.minimum(near, far)
    return distance, _at(o, direction, distance) * weights


def ring(origin: FloatArray, direction: FloatArray) -> Hit:
    """An upright thick ring, radii 0.28 to 0.5, whose axis is z."""
    o = _raised(origin)
    outer, inner, half = 0.5, 0.28, 0.5
    flat = np.array([[1.0], [1.0], [0.0]])
    a, b, c = (dot(p * flat, q) for p, q in ((direction, direction), (o, direction), (o, o)))
    hits = []
    # From outside the rim is met first, through the hole the inner wall is met last.
    for distance, sign in ((_roots(a, b, c - outer**2)[0], 1.0), (_roots(a, b, c - inner**2)[1], -1.0)):
        point = _at(o, direction, distance)
        distance = _kept(distance, (distance > 0) & (np.abs(point[2]) <= half))
        hits.append((distance, sign * point * flat))
    for side in (-half, half):
        distance = (side - o[2]) / _nonzero(direction[2])
        point = _at(o, direction, distance)
        radius = point[0] ** 2 + point[1] ** 2
        distance = _kept(distance, (distance > 0) & (radius <= outer**2) & (radius >= inner**2))
        hits.append((distance, np.broadcast_to([[0.0], [0.0], [side]], direction.shape)))
    return _first(hits)


def cross(origin: FloatArray, direction: FloatArray) -> Hit:
    """An upright plus sign with arms a third wide."""
    o = _raised(origin)
    return _first([_slab(o, direction, (0.5, 0.17, 0.5)), _slab(o, direction, (0.17, 0.5, 0.5))])


SHAPES: dict[str, Callable[[FloatArray, FloatArray], Hit]] = {
    "ball": ball,
    "box": box,
    "cone": cone,
    "ring": ring,
    "cross": cross,
}


def length(vectors: FloatArray) -> FloatArray:
    """Euclidean length of (3, ...) vectors."""
    return np.sqrt(dot(vectors, vectors))


def dot(a: FloatArray, b: FloatArray) -> FloatArray:
    """Scalar products of (3, ...) vectors."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _slab(origin: FloatArray, direction: FloatArray, half: tuple[float, float, float]) -> Hit:
    """An axis-aligned box about the origin."""
    extent = np.array(half)[:, None]
    safe = _nonzero(direction)
    low, high = (-extent - origin) / safe, (extent - origin) / safe
    enter, leave = np.minimum(low, high), np.maximum(low, high)
    near = enter.max(axis=0)
    distance = _kept(near, (near > 0) & (near <= leave.min(axis=0)))
    return distance, np.where(enter == near, -np.sign(safe), 0.0)


def _first(hits: list[Hit]) -> Hit:
    distance, normal = hits[0]
    for other, other_normal in hits[1:]:
        closer = other < distance
        distance, normal = np.where(closer, other, distance), np.where(closer, other_normal, normal)
    return distance, normal


def _roots(a: FloatArray, b: FloatArray, c: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The solutions of a t^2 + 2 b t + c = 0 in rising order, inf where there are none."""
    discriminant = b * b - a * c
    root = np.sqrt(np.maximum(discriminant, 0.0))
    safe = _nonzero(a)
    low, high = (-b - root) / safe, (-b + root) / safe
    real = discriminant >= 0
    return _kept(np.minimum(low, high), real), _kept(np.maximum(low, high), real)


def _raised(origin: FloatArray) -> FloatArray:
    """Seen from the middle of the unit frame."""
    return origin + np.array([[0.0], [0.5], [0.0]])


def _at(origin: FloatArray, direction: FloatArray, distance: FloatArray) -> FloatArray:
    return origin + direction * _finite(distance)


def _finite(distance: FloatArray) -> FloatArray:
    return np.where(np.isfinite(distance), distance, 0.0)


def _kept(distance: FloatArray, valid: npt.NDArray[np.bool_]) -> FloatArray:
    return np.where(valid, distance, np.inf)


def _nonzero(values: FloatArray) -> FloatArray:
    return np.where(np.abs(values) < TINY, TINY, values)
