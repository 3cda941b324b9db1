"""Procedural scenes as a data set: solids on a ground, made when asked for, with exact truth for every task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from argus_core.common.files import json_sha256
from argus_core.data import Split
from argus_core.errors import ArgusError, unknown
from argus_data.procedural.render import photograph
from argus_data.procedural.scene import SEGMENTS, Pair, Scene, make_pair, make_scene
from argus_data.procedural.world import CLASSES, USUAL, Crowd, World, draw_world

if TYPE_CHECKING:
    from argus_core.tasks import Task


GENERATOR = 1
"""Raise it whenever the same parameters give other scenes."""
SPLITS = ("train", "val")
SMALLEST_SIDE = 32
MOST_SOLIDS = 250
"""Instances are counted in a byte."""
TASKS = ("classify", "depth", "detect", "segment")
KINDS = (*CLASSES, "nothing")
"""Classes of whole scenes: the largest solid, or none."""
FAR = 50.0
"""Metres beyond which depth is left unknown; the ground runs on to the horizon."""


class SceneSplit(Split):
    """Scene i depends on the seed, the split's name, i, the size (height, width) in pixels and the crowd only."""

    def __init__(self, name: str, images: int, size: tuple[int, int], seed: int, crowd: Crowd = USUAL) -> None:
        self.name = name
        self._images = images
        self._size = size
        self._seed = seed
        self._crowd = crowd
        self._truths: dict[int, dict[str, Any]] = {}

    def __len__(self) -> int:
        return self._images

    def key(self, index: int) -> str:
        """As in ``scene_000012``."""
        return f"scene_{index:06d}"

    def scene(self, index: int) -> Scene:
        """A picture with its depth, masks, boxes and class."""
        world = self._world(index)
        return make_scene(world, world.camera)

    def pair(self, index: int, points: int = 64) -> Pair:
        """The scene, a second view of it, and ``points`` exact matches between them."""
        return make_pair(self._world(index), self._rng(index, purpose=1), points)

    def read(self, index: int) -> npt.NDArray[np.uint8]:
        """The picture as (h, w, 3) RGB."""
        world = self._world(index)
        return photograph(world, world.camera)

    def image_size(self, index: int) -> tuple[int, int]:
        """That of every picture; nothing is rendered."""
        return self._size

    def digest(self, index: int) -> str:
        """sha256 (hex) of what the picture is made from, in place of its bytes."""
        return json_sha256([*self._recipe, index])

    def stamp(self, index: int) -> str:
        """The digest, which is cheap."""
        return self.digest(index)

    @property
    def tasks(self) -> Mapping[str, Task]:
        """Boxes, masks and depth of what is seen, and the class of the largest solid."""
        from argus_core.tasks.classify import Classify
        from argus_core.tasks.depth import Depth
        from argus_core.tasks.detect import Detect
        from argus_core.tasks.segment import Segment

        tasks = (Classify(classes=KINDS), Depth(high=FAR), Detect(classes=CLASSES), Segment(classes=SEGMENTS))
        return {task.name: task for task in tasks}

    def truth(self, sample: int, task: str) -> Any:
        """The annotation of one scene, kept in memory because every epoch asks for it."""
        if task not in TASKS:
            raise unknown("task of the scenes", task, TASKS)
        if sample not in self._truths:
            self._truths[sample] = _truths(self.scene(sample))
        return self._truths[sample][task]

    def annotation_digest(self) -> str:
        """sha256 (hex) of what all scenes are made from."""
        return json_sha256([*self._recipe, "images", self._images])

    @property
    def _recipe(self) -> list[Any]:
        crowd = [] if self._crowd == USUAL else [asdict(self._crowd)]  # caches of older versions stay valid
        return ["scenes", GENERATOR, self.name, list(self._size), self._seed, *crowd]

    def _world(self, index: int) -> World:
        if not 0 <= index < self._images:
            raise IndexError(f"scene {index} of {self._images}")
        return draw_world(self._rng(index, purpose=0), self._size, self._crowd)

    def _rng(self, index: int, purpose: int) -> np.random.Generator:
        return np.random.default_rng([self._seed, SPLITS.index(self.name), index, purpose])


def _truths(scene: Scene) -> dict[str, Any]:
    """A scene's annotations by task."""
    from argus_core.tasks.detect import Boxes

    crowd = np.zeros(len(scene.labels), dtype=np.bool_)
    return {
        "classify": scene.label if scene.label >= 0 else KINDS.index("nothing"),
        "depth": np.where(scene.depth < FAR, scene.depth, 0).astype(np.float32),
        "detect": Boxes(scene.boxes, scene.labels, crowd, scene.area),
        "segment": scene.mask,
    }


def open_scenes(
    path: str = "",
    *,
    images: int = 256,
    val: int = 64,
    size: int | str = 128,
    seed: int = 0,
    solids: int = 7,
    shrink: float = 1.0,
) -> dict[str, Split]:
    """``images`` training and ``val`` validation scenes of ``size`` pixels: ``128`` or ``"96x128"`` (height x width).

    A scene has up to ``solids`` objects, ``shrink`` times as small as usual: ``size=2560,solids=60,shrink=8`` are
    large images of many small objects. There is nothing to read, so ``path`` must be empty. Raises ArgusError for
    numbers that make no scenes.
    """
    return dict(scene_splits(path, images=images, val=val, size=size, seed=seed, crowd=_crowd(solids, shrink)))


def scene_splits(
    path: str, *, images: int, val: int, size: int | str, seed: int, points: int = 1, crowd: Crowd = USUAL
) -> dict[str, SceneSplit]:
    """Both splits, after checking every number."""
    if path:
        raise ArgusError(f"scenes are made, not read: leave out {path!r}, as in scenes:images=256,size=128")
    for name, value, low in (("images", images, 1), ("val", val, 1), ("seed", seed, 0), ("points", points, 1)):
        if value < low:
            raise ArgusError(f"option {name}={value} of the scenes must be at least {low}")
    shape = _size(size)
    counts = zip(SPLITS, (images, val), strict=True)
    return {name: SceneSplit(name, count, shape, seed, crowd) for name, count in counts}


def _crowd(solids: int, shrink: float) -> Crowd:
    if not 1 <= solids <= MOST_SOLIDS:
        raise ArgusError(f"option solids={solids} of the scenes must be 1 to {MOST_SOLIDS}")
    if not 0.5 <= shrink <= 64:
        raise ArgusError(f"option shrink={shrink} of the scenes must be 0.5 to 64")
    return Crowd(solids, float(shrink))


def _size(size: int | str) -> tuple[int, int]:
    sides = str(size).lower().split("x")
    if len(sides) > 2 or not all(side.isdecimal() and int(side) >= SMALLEST_SIDE for side in sides):
        raise ArgusError(
            f"option size={size} of the scenes is not a size of at least {SMALLEST_SIDE} px: "
            "write size=128 or size=96x128 (height x width)"
        )
    return int(sides[0]), int(sides[-1])
