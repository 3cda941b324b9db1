"""Two views of each procedural scene as a data set, with exact matches between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from argus_core.common.files import json_sha256
from argus_core.data import Split
from argus_core.errors import unknown
from argus_data.procedural.render import photograph
from argus_data.procedural.scene import Pair
from argus_data.scenes.split import GENERATOR, SPLITS, SceneSplit, scene_splits

if TYPE_CHECKING:
    from argus_core.tasks import Task
    from argus_core.tasks.correspond import Matches


class ScenePairSplit(Split):
    """Images ``2i`` and ``2i + 1`` are the two views of scene i; a sample is the pair, with ``points`` matches."""

    def __init__(self, scenes: SceneSplit, points: int) -> None:
        self.name, self._scenes, self._points = scenes.name, scenes, points
        self._pair = lru_cache(maxsize=8)(self._make)

    def __len__(self) -> int:
        return 2 * len(self._scenes)

    def key(self, index: int) -> str:
        """As in ``scene_000012_b``."""
        return f"{self._scenes.key(index // 2)}_{'ab'[index % 2]}"

    def read(self, index: int) -> npt.NDArray[np.uint8]:
        """The picture as (h, w, 3) RGB."""
        pair = self._pair(index // 2)
        scene = (pair.first, pair.second)[index % 2]
        return photograph(scene.world, scene.camera)

    def digest(self, index: int) -> str:
        """sha256 (hex) of what the picture is made from, in place of its bytes."""
        return json_sha256([self._scenes.digest(index // 2), index % 2, self._points])

    def stamp(self, index: int) -> str:
        """The digest, which is cheap."""
        return self.digest(index)

    @property
    def tasks(self) -> Mapping[str, Task]:
        """Correspondence between the views."""
        from argus_core.tasks.correspond import Correspond

        return {"correspond": Correspond()}

    def samples(self, task: str) -> Sequence[tuple[int, ...]]:
        """The two views of each scene."""
        return [(2 * scene, 2 * scene + 1) for scene in range(len(self._scenes))]

    def truth(self, sample: int, task: str) -> Matches:
        """The points that both views show; the box is the whole second view."""
        from argus_core.tasks.correspond import Matches

        if task != "correspond":
            raise unknown("task of the scene pairs", task, ["correspond"])
        pair = self._pair(sample)
        height, width = size = pair.second.mask.shape
        box = (0.0, 0.0, float(width), float(height))
        return Matches(pair.points[pair.visible], pair.matches[pair.visible], box, "scene", (size, size))

    def annotation_digest(self) -> str:
        """sha256 (hex) of what all pairs are made from."""
        return json_sha256(["pairs", GENERATOR, self._scenes.annotation_digest(), self._points])

    def _make(self, scene: int) -> Pair:
        return self._scenes.pair(scene, self._points)


def open_scene_pairs(
    path: str = "", *, images: int = 64, val: int = 32, size: int | str = 128, seed: int = 0, points: int = 20
) -> dict[str, Split]:
    """``images`` and ``val`` pairs of views of scenes of ``size`` pixels, with up to ``points`` matches each.

    There is nothing to read, so ``path`` must be empty. Raises ArgusError for numbers that make no pairs.
    """
    splits = scene_splits(path, images=images, val=val, size=size, seed=seed, points=points)
    return {name: ScenePairSplit(splits[name], points) for name in SPLITS}
