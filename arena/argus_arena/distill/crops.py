"""The images of a distillation, and the batch of views that every step sees."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from argus_arena.distill.augment import Image, draw_view, render_view
from argus_arena.distill.plan import Plan
from argus_arena.distill.recipe import Augmentation, Images
from argus_arena.distributed import Distributed
from argus_arena.run.batches import Order, leave_interrupts
from argus_core.cache.ahead import Ahead
from argus_core.common.files import json_sha256
from argus_core.data import Split
from argus_core.data.split import guarded
from argus_core.errors import ArgusError
from argus_core.plugins.data_spec import open_data, quoted
from argus_core.plugins.hooks import Plugins
from argus_core.registry.loading import debugging

Crops = Mapping[int, Tensor]
"""Views of a batch as RGB bytes (B, 3, size, size), by size."""
IMAGES = 0
"""The part of a step's seed that is for images."""


class Photographs:
    """The images of several splits under one count; annotations are not read."""

    def __init__(self, splits: Sequence[Split]) -> None:
        self.splits = splits
        self._ends = np.cumsum([len(split) for split in splits])
        if not len(self):
            raise ArgusError("there are no images to learn from; look at them with `arena data check SPEC`")

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def read(self, index: int) -> Image:
        """An image (h, w, 3); raises ArgusError, naming the file, if it cannot be read."""
        number = int(np.searchsorted(self._ends, index, side="right"))
        split = self.splits[number]
        with guarded(split):
            return split.read(index - int(self._ends[number]) + len(split))

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


@dataclass(frozen=True)
class Views(Dataset[list[Crops]]):
    """For each step this process's views, in as many batches as the step has passes."""

    photographs: Photographs
    augmentation: Augmentation
    order: Order
    plan: Plan
    passes: int
    process: Distributed

    def __getitem__(self, step: int) -> list[Crops]:
        items = [index for index, _ in self.order.items(step)]
        mine = range(len(items))[self.process.rank :: self.process.size]
        sizes = self.plan.whole(step).sizes
        views = [self._views(items[place], step, place, sizes) for place in mine]
        share = len(views) // self.passes
        parts = [views[start : start + share] for start in range(0, len(views), share)]
        return [{size: torch.stack([view[size] for view in part]) for size in sizes} for part in parts]

    def _views(self, index: int, step: int, place: int, sizes: Sequence[int]) -> dict[int, Tensor]:
        """One image's view, which its place in the step decides, not the process that makes it."""
        image = self.photographs.read(index)
        rng = np.random.default_rng([self.order.seed, step, IMAGES, place])
        view = draw_view(self.augmentation, (image.shape[0], image.shape[1]), rng)
        return {size: render_view(image, view, size) for size in sizes}


def view_batches(views: Views, steps: range, workers: int) -> Ahead[list[Crops]]:
    """The views of some steps, made ahead by ``workers`` processes, or without any by a thread."""
    loader: DataLoader[list[Crops]] = DataLoader(
        views, batch_size=None, sampler=steps, num_workers=workers, worker_init_fn=leave_interrupts
    )
    return Ahead(loader, thread=not workers and not debugging())
