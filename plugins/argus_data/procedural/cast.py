"""Who plays in a film: solids that cross, hide, turn back, leave and return, each on a lane of its own."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from argus_data.procedural import FloatArray
from argus_data.procedural.camera import Camera, direction
from argus_data.procedural.texture import Texture
from argus_data.procedural.world import CLASSES, Solid, draw_texture

NEAREST, LANE = 4.0, 1.45
"""Metres from the camera to the first lane, and from each lane to the next, which leaves room for the largest solid."""
TWIN_SHARE = 0.3
"""How many actors look like an earlier one."""
EASE = 0.2
"""The share of a walk in which an actor gathers speed, and in which it slows down."""
SPEED = (0.7, 1.8)
"""Metres per second."""


@dataclass(frozen=True)
class Actor:
    """A solid that is at ``places`` (K,), metres to the right, at ``times`` (K,), seconds, and walks between them.

    The tangent of its yaw goes from the first of ``turns`` to the second in ``length`` seconds.
    """

    solid: Solid
    times: FloatArray
    places: FloatArray
    turns: tuple[float, float]
    length: float

    def at(self, time: float) -> Solid:
        """The solid as it stands ``time`` seconds after the beginning."""
        leg = int(np.clip(np.searchsorted(self.times, time, side="right") - 1, 0, len(self.times) - 2))
        start, end = self.times[leg : leg + 2]
        share = _eased(float(np.clip((time - start) / max(end - start, 1e-9), 0.0, 1.0)))
        x = self.places[leg] + (self.places[leg + 1] - self.places[leg]) * share
        tangent = self.turns[0] + (self.turns[1] - self.turns[0]) * time / self.length
        return replace(self.solid, place=(float(x), self.solid.place[1]), yaw=direction(tangent))


def draw_cast(rng: np.random.Generator, camera: Camera, actors: int, length: float) -> tuple[Actor, ...]:
    """``actors`` for a film of ``length`` seconds, the nearest first: the first one stands still and hides others."""
    cast: list[Actor] = []
    for number in range(actors):
        z = NEAREST + LANE * number
        is_twin = number > 1 and rng.random() < TWIN_SHARE
        look = cast[rng.integers(1, number)].solid if is_twin else _solid(rng)
        solid = replace(look, place=(0.0, z))
        reach = 0.5 * z * camera.size[1] / camera.focal
        walk = _stand if number == 0 else WALKS[(number + int(rng.integers(2))) % len(WALKS)]
        times, places = walk(rng, reach, 0.5 * float(solid.size[0]), length)
        turns = (0.0, 0.0) if number == 0 else (float(rng.uniform(-0.8, 0.8)), float(rng.uniform(-0.8, 0.8)))
        cast.append(Actor(solid, np.array(times), np.array(places), turns, length))
    return tuple(cast)


Path = tuple[list[float], list[float]]
"""Times in seconds, and where the actor is then, in metres to the right."""


def _stand(rng: np.random.Generator, reach: float, half: float, length: float) -> Path:
    """Stay near the middle."""
    x = rng.uniform(-0.3, 0.3) * reach
    return [0.0, length], [x, x]


def _cross(rng: np.random.Generator, reach: float, half: float, length: float) -> Path:
    """Enter at one side, walk through the picture and leave it at the other one, then come back."""
    side, outside = rng.choice((-1.0, 1.0)), reach + 1.5 * half
    begin = rng.uniform(-0.35, 0.3) * length
    there = begin + 2 * outside / rng.uniform(*SPEED)
    back = there + rng.uniform(0.5, 2.0)
    home = back + 2 * outside / rng.uniform(*SPEED)
    return [begin, there, back, home], [-side * outside, side * outside, side * outside, -side * outside]


def _pace(rng: np.random.Generator, reach: float, half: float, length: float) -> Path:
    """Walk to and fro within the picture."""
    here, there = rng.uniform(0.3, 0.9, 2) * reach * rng.choice([(-1.0, 1.0), (1.0, -1.0)])
    times, places = [-rng.uniform(0.0, 2.0)], [here]
    while times[-1] < length:
        here, there = there, here
        times.append(times[-1] + abs(here - there) / rng.uniform(*SPEED))
        places.append(here)
    return times, places


def _hide(rng: np.random.Generator, reach: float, half: float, length: float) -> Path:
    """Walk behind what stands in the middle, wait there, and come out at either side; again and again."""
    side = rng.choice((-1.0, 1.0))
    times, places = [-rng.uniform(0.0, 2.0)], [side * rng.uniform(0.4, 0.9) * reach]
    while times[-1] < length:
        middle = rng.uniform(-0.2, 0.2) * reach
        out = rng.choice((-1.0, 1.0)) * rng.uniform(0.4, 0.9) * reach
        for place in (middle, middle, out):
            walked = abs(place - places[-1]) / rng.uniform(*SPEED)
            times.append(times[-1] + (walked or rng.uniform(0.3, 1.5)))
            places.append(place)
    return times, places


WALKS = (_cross, _pace, _hide)


def _solid(rng: np.random.Generator) -> Solid:
    """A solid as in scenes, with its footprint within a lane."""
    label = int(rng.integers(len(CLASSES)))
    height = rng.uniform(0.8, 1.2)
    thin = CLASSES[label] in ("ring", "cross")
    size = height * np.array([rng.uniform(0.7, 0.9), 1.0, rng.uniform(0.2, 0.4) if thin else rng.uniform(0.7, 0.9)])
    return Solid(label, (0.0, 0.0), size, (1.0, 0.0), _texture(rng))


def _texture(rng: np.random.Generator) -> Texture:
    return draw_texture(rng, frequency=rng.uniform(1.5, 4.0))


def _eased(share: float) -> float:
    """How far a walk has come: speed rises evenly from 0, stays, and falls to 0 again."""
    if share > 0.5:
        return 1.0 - _eased(1.0 - share)
    top = 1.0 / (1.0 - EASE)
    return 0.5 * top * share * share / EASE if share < EASE else top * (share - 0.5 * EASE)
