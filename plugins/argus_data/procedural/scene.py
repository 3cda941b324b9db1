"""One view of a world with its exact truth, and pairs of views with exact matches."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from argus_data.procedural import FloatArray
from argus_data.procedural.camera import Camera
from argus_data.procedural.render import GROUND, SKY, SOLID, View, first_depth, look, photograph, surface
from argus_data.procedural.world import CLASSES, World, moved_camera

__all__ = ["SEGMENTS", "Scene"]

SEGMENTS = (*CLASSES, "ground", "sky")
"""Names of what a pixel may show, in the order of their indices in masks."""

VISIBLE_SHARE = 0.25
VISIBLE_PIXELS = 16


@dataclass(frozen=True)
class Scene:
    """A picture and what is in it; n counts the objects that are visible enough to be annotated.

    ``depth`` is in metres along the camera's axis, inf in the sky. ``mask`` indexes ``SEGMENTS`` and also shows
    objects too hidden to be annotated. ``instances`` is 1 + the row of ``boxes``, 0 elsewhere. ``label`` is the class
    of the annotated object with the most visible pixels, -1 if there is none. ``normals`` are unit vectors out of the
    surfaces in camera axes (x right, y down, z forward), 0 in the sky.
    """

    world: World
    camera: Camera
    depth: npt.NDArray[np.float32]  # (h, w)
    mask: npt.NDArray[np.uint8]  # (h, w)
    instances: npt.NDArray[np.uint8]  # (h, w)
    boxes: FloatArray  # (n, 4) x1, y1, x2, y2 around the visible pixels
    labels: npt.NDArray[np.int64]  # (n,)
    area: FloatArray  # (n,) visible pixels
    normals: npt.NDArray[np.float32]  # (h, w, 3)

    @property
    def label(self) -> int:
        """The scene's class for classification."""
        return int(self.labels[self.area.argmax()]) if len(self.labels) else -1

    @cached_property
    def image(self) -> npt.NDArray[np.uint8]:
        """The picture, (h, w, 3) RGB."""
        return photograph(self.world, self.camera)


@dataclass(frozen=True)
class Pair:
    """Two views of one world and where points of the first lie in the second, in x, y pixels.

    ``visible`` is false for points that the second view does not show; those behind its camera are at NaN.
    """

    first: Scene
    second: Scene
    points: FloatArray  # (P, 2) in the first view
    matches: FloatArray  # (P, 2) in the second view
    visible: npt.NDArray[np.bool_]  # (P,)


def make_scene(world: World, camera: Camera) -> Scene:
    """What ``camera`` sees of ``world``."""
    view = look(world, camera)
    classes = [solid.label for solid in world.solids]
    segment = np.zeros(SOLID + len(classes), dtype=np.uint8)
    segment[SKY], segment[GROUND], segment[SOLID:] = SEGMENTS.index("sky"), SEGMENTS.index("ground"), classes
    kept, area = _annotated(view)
    number = np.zeros(len(segment), dtype=np.uint8)
    number[SOLID + kept] = 1 + np.arange(len(kept))
    instances = number[view.owner]
    boxes = np.array([pixel_box(instances == 1 + row) for row in range(len(kept))], dtype=np.float64).reshape(-1, 4)
    labels = np.array(classes, dtype=np.int64)[kept]
    depth, normals = view.depth.astype(np.float32), view.facing().transpose(1, 2, 0).astype(np.float32)
    return Scene(world, camera, depth, segment[view.owner], instances, boxes, labels, area, normals)


def make_pair(world: World, rng: np.random.Generator, points: int) -> Pair:
    """The world's own view, a second one, and ``points`` matches, half of them on objects if any are seen."""
    first, camera = make_scene(world, world.camera), moved_camera(rng, world.camera)
    chosen = _sample(rng, first.mask, points)
    rays = world.camera.rays_through(*chosen.T)
    places = surface(world.camera, rays, first_depth(world, world.camera, rays))
    matches, depth = camera.project(places)
    height, width = camera.size
    x, y = matches.T
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    nearest = first_depth(world, camera, camera.rays_through(*np.where(inside[:, None], matches, 0.0).T))
    # The point itself is found again, up to rounding, unless something stands before it.
    visible = inside & (nearest >= depth * (1 - 1e-6))
    return Pair(first, make_scene(world, camera), chosen, matches, visible)


def _annotated(view: View) -> tuple[npt.NDArray[np.int64], FloatArray]:
    """The solids (n,) that are visible enough, and their visible pixels (n,)."""
    pixels = np.bincount(view.owner.reshape(-1), minlength=SOLID + len(view.silhouettes))[SOLID:]
    enough = (pixels >= VISIBLE_PIXELS) & (pixels >= VISIBLE_SHARE * view.silhouettes)
    kept = np.flatnonzero(enough)
    return kept, pixels[kept].astype(np.float64)


def pixel_box(pixels: npt.NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """x1, y1, x2, y2 around the pixels (h, w) that are set; there must be one."""
    rows, columns = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1


def _sample(rng: np.random.Generator, mask: npt.NDArray[np.uint8], count: int) -> FloatArray:
    """(count, 2) pixel centres outside the sky."""
    flat = mask.reshape(-1)
    solids, ground = np.flatnonzero(flat < len(CLASSES)), np.flatnonzero(flat == SEGMENTS.index("ground"))
    on_solids = count // 2 if len(solids) and len(ground) else count if len(solids) else 0
    chosen = [rng.choice(solids, on_solids)] if on_solids else []
    chosen += [rng.choice(ground, count - on_solids)] if count > on_solids else []
    y, x = np.divmod(np.concatenate(chosen), mask.shape[1])
    return np.stack([x + 0.5, y + 0.5], axis=1)
