"""From a world and a camera to what every pixel shows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from argus_data.procedural import FloatArray
from argus_data.procedural.camera import Camera
from argus_data.procedural.shapes import dot, length
from argus_data.procedural.texture import noise
from argus_data.procedural.world import Solid, World

SKY, GROUND, SOLID = 0, 1, 2
AMBIENT = 0.5
SUPERSAMPLING = 2
BLOCK = 1 << 14
"""Neighbouring points of the ground of which one look tells that a shadow is elsewhere."""


@dataclass(frozen=True)
class View:
    """What the pixel centres of a camera see."""

    camera: Camera
    rays: FloatArray  # (3, h, w)
    depth: FloatArray  # (h, w), metres along the camera's axis, inf in the sky
    owner: npt.NDArray[np.int64]  # (h, w): SKY, GROUND or SOLID + index
    normal: FloatArray  # (3, h, w), unit, of the solids, in world axes
    silhouettes: npt.NDArray[np.int64]  # (solids,), pixels each would cover if nothing stood before it

    def facing(self) -> FloatArray:
        """(3, h, w): the outward unit normal of every surface, in camera axes; 0 in the sky."""
        up = np.array([[[0.0]], [[-1.0]], [[0.0]]])
        x, y, z = np.where(self.owner == GROUND, up, np.where(self.owner == SKY, 0.0, self.normal))
        return np.stack([a * x + b * y + c * z for a, b, c in self.camera.axes])


def surface(camera: Camera, rays: FloatArray, depth: FloatArray) -> FloatArray:
    """The (3, ...) world points at ``depth`` along rays of ``camera``; the camera itself where depth is infinite."""
    return _origin(camera, rays.ndim) + rays * np.where(np.isfinite(depth), depth, 0.0)


def first_depth(world: World, camera: Camera, rays: FloatArray) -> FloatArray:
    """The depth (n,) at which (3, n) rays of ``camera`` first meet anything, inf for the sky."""
    depth = _ground_depth(camera, rays)
    for solid in world.solids:
        depth = np.minimum(depth, solid.hit(_origin(camera), rays)[0])
    return depth


def look(world: World, camera: Camera) -> View:
    """Cast one ray per pixel."""
    rays = camera.rays()
    depth = _ground_depth(camera, rays)
    owner = np.where(np.isfinite(depth), GROUND, SKY)
    normal = np.zeros(rays.shape)
    silhouettes = np.zeros(len(world.solids), dtype=np.int64)
    for index, solid in enumerate(world.solids):
        rows, columns = window = _window(camera, solid)
        part = rays[:, rows, columns]
        shape = part.shape[1:]
        distance, facing = solid.hit(_origin(camera), part.reshape(3, -1))
        silhouettes[index] = np.isfinite(distance).sum()
        distance = distance.reshape(shape)
        closer = distance < depth[window]
        depth[window] = np.where(closer, distance, depth[window])
        owner[window] = np.where(closer, SOLID + index, owner[window])
        facing = facing.reshape(3, *shape)
        normal[:, rows, columns] = np.where(closer, facing, normal[:, rows, columns])
    return View(camera, rays, depth, owner, normal, silhouettes)


def photograph(world: World, camera: Camera) -> npt.NDArray[np.uint8]:
    """The (h, w, 3) RGB picture, averaged over finer rays."""
    view = look(world, camera.finer(SUPERSAMPLING))
    points = surface(view.camera, view.rays, view.depth).reshape(3, -1)
    owner = view.owner.reshape(-1)
    colour = np.empty(points.shape)
    sky, ground = np.flatnonzero(owner == SKY), np.flatnonzero(owner == GROUND)
    colour[:, sky] = _sky(world, view.rays.reshape(3, -1).take(sky, axis=1))
    colour[:, ground] = _ground(world, points.take(ground, axis=1), view.depth.take(ground))
    for index, solid in enumerate(world.solids):
        seen = np.flatnonzero(owner == SOLID + index)
        normal = view.normal.reshape(3, -1).take(seen, axis=1)
        colour[:, seen] = _lit(world, solid, points.take(seen, axis=1), normal)
    return _averaged(colour.reshape(3, *view.camera.size), SUPERSAMPLING)


def _sky(world: World, rays: FloatArray) -> FloatArray:
    """A gradient with clouds, (3, n)."""
    up = np.maximum(-rays[1] / length(rays), 0.02)
    horizon, zenith = world.sky[:, :, None]
    blue = horizon + (zenith - horizon) * np.minimum(up * 2.0, 1.0)
    across, along = world.clouds
    clouds = noise(rays[0] / up * 0.7 + across, rays[2] / up * 0.7 + along, octaves=2)
    # Clouds thin out towards the horizon, where they would be finer than pixels.
    return blue + (0.95 - blue) * np.clip(3.0 * clouds - 1.6, 0.0, 0.8) * np.minimum(up * 5.0, 1.0)


def _ground(world: World, points: FloatArray, depth: FloatArray) -> FloatArray:
    """The ground's texture, paler with distance, with the solids' shadows, (3, n)."""
    # Far away a pixel holds many periods, which single rays would turn into noise.
    colour = world.ground.colour(points, contrast=1.0 / (1.0 + (depth / 12.0) ** 2))
    patches = noise(points[0] + world.clouds[1], points[2] + world.clouds[0], octaves=1)
    light = (0.85 + 0.3 * patches) * (AMBIENT + (1.0 - AMBIENT) * -world.sun[1] * ~_shadowed(world, points))
    haze = depth / (depth + 60.0)
    return colour * light * (1.0 - haze) + world.sky[0][:, None] * haze


def _lit(world: World, solid: Solid, points: FloatArray, normal: FloatArray) -> FloatArray:
    """A matt surface under sun and sky, (3, n)."""
    facing = np.maximum(dot(normal, world.sun[:, None]), 0.0)
    return solid.texture.colour(solid.local(points)) * (AMBIENT + (1.0 - AMBIENT) * facing)


def _shadowed(world: World, points: FloatArray) -> npt.NDArray[np.bool_]:
    """Which (3, n) ground points some solid hides from the sun."""
    dark = np.zeros(points.shape[1], dtype=np.bool_)
    sun = world.sun[:, None]
    starts = np.arange(0, points.shape[1], BLOCK)
    nearest, farthest = np.minimum.reduceat(points[2], starts), np.maximum.reduceat(points[2], starts)
    for solid in world.solids:
        # The shadow of the sphere about the solid lies within a square about its centre's shadow.
        x, y, z = solid.centre
        reach = -solid.radius / world.sun[1]
        middle_x, middle_z = x - world.sun[0] * y / world.sun[1], z - world.sun[2] * y / world.sun[1]
        blocks = np.flatnonzero((nearest < middle_z + reach) & (farthest > middle_z - reach))
        if not blocks.size:
            continue
        start = blocks[0] * BLOCK
        part = points[:, start : (blocks[-1] + 1) * BLOCK]
        near = start + np.flatnonzero((np.abs(part[0] - middle_x) < reach) & (np.abs(part[2] - middle_z) < reach))
        directions = np.broadcast_to(sun, (3, near.size))
        dark[near] |= np.isfinite(solid.hit(points[:, near], directions)[0])
    return dark


def _averaged(colour: FloatArray, factor: int) -> npt.NDArray[np.uint8]:
    """(3, h * factor, w * factor) in 0..1 to (h, w, 3) bytes."""
    samples = [colour[:, i::factor, j::factor] for i in range(factor) for j in range(factor)]
    mean = sum(samples[1:], samples[0]) * (255.0 / len(samples)) + 0.5
    return np.ascontiguousarray(np.clip(mean, 0, 255).astype(np.uint8).transpose(1, 2, 0))


def _ground_depth(camera: Camera, rays: FloatArray) -> FloatArray:
    down = rays[1]
    return np.where(down > 1e-9, -camera.position[1] / np.maximum(down, 1e-9), np.inf)


def _origin(camera: Camera, dimensions: int = 2) -> FloatArray:
    return np.array(camera.position).reshape(3, *[1] * (dimensions - 1))


def _window(camera: Camera, solid: Solid) -> tuple[slice, slice]:
    """Rows and columns outside which the solid cannot be seen."""
    x, y, z = camera.to_camera(solid.centre)
    radius = solid.radius
    if z <= radius:
        return slice(None), slice(None)
    sides = []
    for middle, pixels in ((y, camera.size[0]), (x, camera.size[1])):
        corners = [(middle + way * radius) / (z + far * radius) for way in (-1, 1) for far in (-1, 1)]
        low, high = (camera.focal * bound + pixels / 2 for bound in (min(corners), max(corners)))
        sides.append(slice(max(int(low) - 1, 0), max(int(high) + 2, 0)))
    return sides[0], sides[1]
