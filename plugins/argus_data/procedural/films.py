"""Films of solids that move, with their true identities."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from argus_core.errors import ArgusError
from argus_data.procedural import FloatArray
from argus_data.procedural.camera import Camera, direction
from argus_data.procedural.cast import Actor, draw_cast
from argus_data.procedural.render import SOLID, look, photograph
from argus_data.procedural.scene import pixel_box
from argus_data.procedural.world import World, draw_world

__all__ = ["Film", "FilmFrame"]

GENERATOR = 1
"""Raise it whenever the same parameters give other films."""
SMALLEST = 12
"""Visible pixels of the smallest object that a frame lists."""
MOST_ACTORS = 9


@dataclass(frozen=True)
class FilmFrame:
    """One frame and the n objects that it shows, nearest first.

    ``boxes`` lie around the visible pixels; ``visibility`` is the share of an object's pixels within the frame that
    nothing hides. ``ids`` are the same in all frames of a film, and count from 1.
    """

    world: World
    time: float  # seconds
    boxes: FloatArray  # (n, 4) x1, y1, x2, y2
    labels: npt.NDArray[np.int64]  # (n,) indices of the classes of scenes
    ids: npt.NDArray[np.int64]  # (n,)
    visibility: FloatArray  # (n,) in 0..1

    @cached_property
    def image(self) -> npt.NDArray[np.uint8]:
        """The picture, (h, w, 3) RGB."""
        return photograph(self.world, self.world.camera)


class Film:
    """Objects that cross, hide behind others, turn back, leave and return; some of them look like another one.

    It depends on the seed and the other parameters only. ``size`` is (height, width) in pixels, ``rate`` the frames per
    second, ``actors`` the number of objects. Raises ArgusError for numbers that make no film.
    """

    def __init__(
        self,
        seed: int = 0,
        size: tuple[int, int] = (240, 320),
        seconds: float = 12.0,
        rate: float = 15.0,
        actors: int = 7,
    ) -> None:
        if (
            seed < 0
            or not (rate > 0 and seconds * rate >= 1)
            or not 1 <= actors <= MOST_ACTORS
            or min(size) < 32
            or size[0] % 2
            or size[1] % 2
        ):
            raise ArgusError(
                f"no film has seed {seed}, size {size}, {seconds} s, {rate} frames per second and {actors} actors: "
                f"a seed from 0, even sides from 32 px, at least one frame, 1 to {MOST_ACTORS} actors"
            )
        rng = np.random.default_rng([GENERATOR, seed])
        self.size, self.rate, self._frames = size, rate, int(seconds * rate)
        world = draw_world(rng, size)
        camera = Camera(size, 1.15 * max(size), (0.0, -rng.uniform(1.2, 1.6), 0.0), pitch=direction(0.08))
        self._world = replace(world, camera=camera)
        self._cast: tuple[Actor, ...] = draw_cast(rng, camera, actors, seconds)

    def __len__(self) -> int:
        return self._frames

    def __iter__(self) -> Iterator[FilmFrame]:
        return (self[number] for number in range(len(self)))

    def __getitem__(self, number: int) -> FilmFrame:
        """The frame at ``number / rate`` seconds; its picture is rendered when it is first used."""
        if not 0 <= number < len(self):
            raise IndexError(f"frame {number} of {len(self)}")
        time = number / self.rate
        world = replace(self._world, solids=tuple(actor.at(time) for actor in self._cast))
        view = look(world, world.camera)
        pixels = np.bincount(view.owner.reshape(-1), minlength=SOLID + len(world.solids))[SOLID:]
        seen = np.flatnonzero(pixels >= SMALLEST)
        boxes = np.array([pixel_box(view.owner == SOLID + index) for index in seen], dtype=np.float64)
        labels = np.array([solid.label for solid in world.solids], dtype=np.int64)[seen]
        return FilmFrame(world, time, boxes.reshape(-1, 4), labels, seen + 1, pixels[seen] / view.silhouettes[seen])
