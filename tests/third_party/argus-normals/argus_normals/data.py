"""The procedural scenes of Argus with their exact normals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from argus_core import Segment, Split, Task, hookimpl
from argus_core.common.files import json_sha256
from argus_core.plugins.hooks import Opener
from argus_data.scenes import SceneSplit, open_scenes
from argus_normals.task import Normals

VERSION = 1
"""Raise it whenever the same scenes give other normals."""


class NormalScenes(Split):
    """A split of scenes with all its tasks, and normals with or without those of the ground."""

    def __init__(self, scenes: SceneSplit, ground: bool) -> None:
        self.name = scenes.name
        self._scenes, self._ground = scenes, ground
        segment = scenes.tasks["segment"]
        assert isinstance(segment, Segment)
        self._ground_label = segment.classes.index("ground")
        self._normals: dict[int, npt.NDArray[np.float32]] = {}

    def __len__(self) -> int:
        return len(self._scenes)

    def key(self, index: int) -> str:
        """The key of the scene."""
        return self._scenes.key(index)

    def read(self, index: int) -> npt.NDArray[np.uint8]:
        """The picture as (h, w, 3) RGB."""
        return self._scenes.read(index)

    def digest(self, index: int) -> str:
        """sha256 (hex) of what the picture is made from."""
        return self._scenes.digest(index)

    def stamp(self, index: int) -> str:
        """The stamp of the scene."""
        return self._scenes.stamp(index)

    @property
    def tasks(self) -> Mapping[str, Task]:
        """Normals beside the tasks of the scenes."""
        return {**self._scenes.tasks, Normals.name: Normals()}

    def truth(self, sample: int, task: str) -> Any:
        """The annotation of one scene; normals stay in memory, because every epoch asks for them."""
        if task != Normals.name:
            return self._scenes.truth(sample, task)
        if sample not in self._normals:
            scene = self._scenes.scene(sample)
            ground = scene.mask == self._ground_label
            self._normals[sample] = scene.normals if self._ground else np.where(ground[..., None], 0, scene.normals)
        return self._normals[sample]

    def annotation_digest(self) -> str:
        """sha256 (hex) of what all scenes are made from."""
        return json_sha256([Normals.name, VERSION, self._ground, self._scenes.annotation_digest()])


def open_normal_scenes(
    path: str = "", *, images: int = 256, val: int = 64, size: int | str = 128, seed: int = 0, ground: bool = True
) -> dict[str, NormalScenes]:
    """The options are those of ``scenes``: how many, of ``size`` pixels (128, or "96x128": height x width).

    Without ``ground`` only the normals of solids are known: most of a scene is ground, which always looks up.
    """
    splits = open_scenes(path, images=images, val=val, size=size, seed=seed)
    return {name: NormalScenes(split, ground) for name, split in splits.items() if isinstance(split, SceneSplit)}


@hookimpl
def argus_datasets() -> Mapping[str, Opener]:
    """Offer ``normal_scenes:``."""
    return {"normal_scenes": open_normal_scenes}
