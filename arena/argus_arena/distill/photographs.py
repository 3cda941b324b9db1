"""The images of a distillation: the splits that a recipe names, under one count."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from argus_arena.distill.augment import Image
from argus_arena.distill.recipe import Images
from argus_core.common.files import json_sha256
from argus_core.data import Split
from argus_core.data.split import guarded
from argus_core.errors import ArgusError
from argus_core.plugins.data_spec import open_data, quoted
from argus_core.plugins.hooks import Plugins


class Photographs:
    """The images of several splits under one count; annotations are not read."""

    def __init__(self, splits: Sequence[Split]) -> None:
        self.splits = splits
        self._ends = np.cumsum([len(split) for split in splits])
        if not len(self):
            raise ArgusError("there are no images to learn from; look at them with `arena data check SPEC`")

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def place(self, index: int) -> tuple[Split, int]:
        """The split of an image, and its index there."""
        number = int(np.searchsorted(self._ends, index, side="right"))
        split = self.splits[number]
        return split, index - int(self._ends[number]) + len(split)

    def read(self, index: int) -> Image:
        """An image (h, w, 3); raises ArgusError, naming the file, if it cannot be read."""
        split, own = self.place(index)
        with guarded(split):
            return split.read(own)

    def digest(self) -> str:
        """sha256 (hex) of the keys of all images."""
        return json_sha256([[split.key(index) for index in range(len(split))] for split in self.splits])


def open_photographs(images: Images, plugins: Plugins) -> Photographs:
    """The images that a recipe names: ``train`` of data sets that have it, else all, and all files of other folders."""
    if not images.data:
        raise ArgusError("the recipe names no images: add --data PATH-OR-SPEC, or data = [...] below [images]")
    splits: list[Split] = []
    for spec in images.data:
        data = _open(spec, plugins)
        splits += [data["train"]] if "train" in data else list(data.values())
    return Photographs(splits)


def _open(spec: str, plugins: Plugins) -> Mapping[str, Split]:
    try:
        return open_data(spec, plugins)
    except ArgusError:
        if not Path(spec).is_dir():
            raise
        print(f"{spec}: taken as images without annotations", file=sys.stderr)
        return open_data(f"images:{quoted(spec)},images=.", plugins)
