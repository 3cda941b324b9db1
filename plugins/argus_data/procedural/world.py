"""What stands where: solids on a ground under a sky and a sun, drawn at random."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from argus_data.procedural import FloatArray
from argus_data.procedural.camera import Camera, Direction, direction
from argus_data.procedural.shapes import SHAPES, length
from argus_data.procedural.texture import PATTERNS, Texture

__all__ = ["CLASSES"]

CLASSES = tuple(SHAPES)
"""Names of the shapes in a scene, in the order of their class indices."""
EMPTY_SHARE = 0.03
ATTEMPTS = 12


@dataclass(frozen=True)
class Crowd:
    """How many solids a world has at most, and the factor by which they and the patterns of the ground are smaller.

    A picture of ``shrink`` times the side then shows solids of as many pixels, each a smaller share of it.
    """

    solids: int = 7
    shrink: float = 1.0


USUAL = Crowd()


@dataclass(frozen=True)
class Solid:
    """One object on the ground: ``size`` is width, height, depth and ``place`` x, z, in metres."""

    label: int
    place: tuple[float, float]
    size: FloatArray  # (3,)
    yaw: Direction
    texture: Texture

    @property
    def centre(self) -> FloatArray:
        """(3,) middle of the solid."""
        return np.array([self.place[0], -0.5 * self.size[1], self.place[1]])

    @property
    def radius(self) -> float:
        """Of a sphere about ``centre`` that holds the solid, metres."""
        return 0.5 * float(length(self.size))

    def hit(self, origin: FloatArray, directions: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Distances (n,) along (3, n) world rays, inf where missed, and (3, n) unit normals."""
        size = self.size[:, None]
        distance, normal = SHAPES[CLASSES[self.label]](self.local(origin) / size, self._turn(directions, -1) / size)
        normal = self._turn(normal / size, 1)
        return distance, normal / np.maximum(length(normal), 1e-12)

    def local(self, points: FloatArray) -> FloatArray:
        """(3, n) world points in the solid's own frame, metres."""
        return self._turn(points - np.array([[self.place[0]], [0.0], [self.place[1]]]), -1)

    def _turn(self, vectors: FloatArray, sense: int) -> FloatArray:
        cosine, sine = self.yaw[0], self.yaw[1] * sense
        x, y, z = vectors
        return np.stack([cosine * x + sine * z, y, cosine * z - sine * x])


@dataclass(frozen=True)
class World:
    """Everything a picture shows, and the camera it is meant for."""

    camera: Camera
    solids: tuple[Solid, ...]
    ground: Texture
    sky: FloatArray  # (2, 3): RGB at the horizon and at the zenith
    clouds: FloatArray  # (2,): where in the noise field the clouds, and the ground's patches, are taken
    sun: FloatArray  # (3,): unit vector towards the sun


def draw_world(rng: np.random.Generator, size: tuple[int, int], crowd: Crowd = USUAL) -> World:
    """A random world whose solids lie mostly within a camera of ``size`` (height, width) pixels."""
    camera = _camera(rng, size)
    sun = np.array([rng.uniform(-1, 1), -rng.uniform(0.8, 1.6), rng.uniform(-1, 0.4)])
    sky = np.array([rng.uniform(0.75, 0.95, 3), rng.uniform((0.2, 0.4, 0.6), (0.5, 0.65, 0.95))])
    ground = draw_texture(rng, frequency=rng.uniform(0.5, 1.2) * crowd.shrink, muted=True)
    return World(camera, _solids(rng, camera, crowd), ground, sky, rng.uniform(0, 64, 2), sun / length(sun))


def moved_camera(rng: np.random.Generator, camera: Camera) -> Camera:
    """A second view: up to a metre to the side, a little nearer or higher, turned back towards the scene."""
    aside = rng.choice((-1.0, 1.0)) * rng.uniform(0.4, 1.0)
    x, y, z = camera.position
    position = (x + aside, y + rng.uniform(-0.2, 0.2), z + rng.uniform(-0.3, 0.5))
    yaw = direction(-aside / 7.0 + rng.uniform(-0.04, 0.04))
    return Camera(camera.size, camera.focal, position, yaw, camera.pitch)


def draw_texture(rng: np.random.Generator, frequency: float, muted: bool = False) -> Texture:
    """A random texture, whatever it is put on; ``muted`` ones are greyer and of less contrast."""
    colours = rng.uniform(0.05, 1.0, (2, 3))
    if muted:
        base = rng.uniform(0.25, 0.65) + rng.uniform(-0.12, 0.12, 3)
        colours = base + np.array([[-1.0], [1.0]]) * rng.uniform(0.05, 0.14)
    axis = rng.uniform(-1, 1, 3)
    return Texture(PATTERNS[rng.integers(len(PATTERNS))], colours, frequency, rng.uniform(0, 8, 3), axis)


def _camera(rng: np.random.Generator, size: tuple[int, int]) -> Camera:
    focal = rng.uniform(0.8, 1.1) * max(size)
    position = (0.0, -rng.uniform(1.1, 2.2), 0.0)
    return Camera(size, focal, position, pitch=direction(rng.uniform(0.06, 0.24)))


def _solids(rng: np.random.Generator, camera: Camera, crowd: Crowd) -> tuple[Solid, ...]:
    count = 0 if rng.random() < EMPTY_SHARE else int(rng.integers(1, crowd.solids + 1))
    placed: list[Solid] = []
    for _ in range(count):
        for _ in range(ATTEMPTS):
            solid = _solid(rng, camera, crowd.shrink)
            if all(_apart(solid, other, 0.1 / crowd.shrink) for other in placed):
                placed.append(solid)
                break
    return tuple(placed)


def _solid(rng: np.random.Generator, camera: Camera, shrink: float) -> Solid:
    label = int(rng.integers(len(CLASSES)))
    height = rng.uniform(0.5, 1.7) / shrink
    thin = CLASSES[label] in ("ring", "cross")
    size = height * np.array([rng.uniform(0.8, 1.2), 1.0, rng.uniform(0.15, 0.35) if thin else rng.uniform(0.8, 1.2)])
    z = rng.uniform(3.0, 12.0)
    x = rng.uniform(-0.55, 0.55) * z * camera.size[1] / camera.focal
    yaw = direction(rng.uniform(-1.0, 1.0))
    return Solid(label, (x, z), size, yaw, draw_texture(rng, frequency=rng.uniform(1.5, 5.0) * shrink))


def _apart(one: Solid, other: Solid, gap: float) -> bool:
    """Whether the footprints leave each other ``gap`` metres of room."""
    reach = 0.5 * (max(one.size[0], one.size[2]) + max(other.size[0], other.size[2])) + gap
    return (one.place[0] - other.place[0]) ** 2 + (one.place[1] - other.place[1]) ** 2 > reach**2
