"""What a backbone is good for, told by heads that are solved on its tokens in seconds."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from argus_arena.distill.recipe import ProbeSource
from argus_arena.distributed import Distributed
from argus_arena.run.batches import FitBatches, Order, TrainingData
from argus_arena.scoring.evaluate import evaluate
from argus_arena.scoring.rules import Scoring
from argus_arena.training.checkpoints import Values, finite
from argus_core.backbones import Backbone
from argus_core.cache import Cache, CacheSource, CacheSpec, write_cache
from argus_core.cache.writer import batch_size
from argus_core.canvas import Canvas
from argus_core.common.part import Part
from argus_core.data import DataSet, Split
from argus_core.data.hold_out import TRAIN
from argus_core.data.hold_out import Part as SomeImages
from argus_core.errors import ArgusError
from argus_core.head import Head
from argus_core.model.heads import merged_needs
from argus_core.plugins.data_spec import open_data, split_of, task_for
from argus_core.plugins.hooks import Plugins
from argus_core.saving.build import build_head, head_class
from argus_core.tokens import FeatureInfo, Needs, default_layers, quarter_layers

HEADS: Mapping[str, tuple[str, ...]] = {
    "classify": ("classify.knn", "classify.ridge"),
    "segment": ("segment.ridge",),
    "depth": ("depth.ridge",),
    "detect": ("detect.closed_form",),
    "correspond": ("correspond.match",),
}
"""The heads of a probe, by task, where it names none."""


class Probe:
    """One data set of a recipe, opened; raises ArgusError for data or heads that cannot be used."""

    def __init__(self, name: str, source: ProbeSource, plugins: Plugins) -> None:
        data = open_data(source.data, plugins)
        self.name, self.source = name, source
        self.val = some_images(split_of(data, source.split), source.images)
        self.heads = source.heads or tuple(head for task in self.val.tasks for head in HEADS.get(task, ()))
        if not self.heads:
            raise ArgusError(f"probes.{name}: {source.data} has no annotations to score by; give another data set")
        for head in self.heads:
            task_for(self.val, head_class(head).solves.name)
        self.train = self._train(data)

    def _train(self, data: DataSet) -> Split:
        """What heads are solved on; pairs of images, of which no head learns, may have no split for it."""
        learns = any(head_class(head).solves.floor for head in self.heads)
        return some_images(split_of(data, TRAIN), self.source.images) if learns or TRAIN in data else self.val

    def score(self, backbone: Backbone, process: Distributed, folder: Path) -> Values:
        """The primary score of each head, by names such as ``imagenette knn top1``.

        Tokens are in ``folder`` meanwhile, where several processes share the work. Raises ArgusError for a head that is
        trained by gradients.
        """
        heads = self._unsolved(backbone)
        with _emptied(folder, process):
            tokens = _Tokens(backbone, merged_needs(heads), self._canvas(backbone), process)
            train, val = (tokens.of(split, folder / str(n)) for n, split in enumerate((self.train, self.val)))
            for head in heads.values():
                _solve(head.to(process.device), train, self.train, process)
            metrics = evaluate(heads, Scoring(val, self.val), process, 16, lambda done, total: None)
        return finite(
            {
                f"{self.name} {name.partition('.')[2]} {metric.primary}": metric.compute()[metric.primary]
                for name, metric in metrics.items()
            }
        )

    def _unsolved(self, backbone: Backbone) -> dict[str, Head]:
        heads = {}
        for name in self.heads:
            task = task_for(self.val, head_class(name).solves.name)
            heads[name] = build_head(name, backbone.info, task, _options(name, backbone.info))
            if heads[name].trained:
                raise ArgusError(
                    f"probes.{self.name}: head {name!r} is trained by gradients; name heads that are solved, such as "
                    f"{', '.join(HEADS[heads[name].task.name])}"
                )
        return heads

    def _canvas(self, backbone: Backbone) -> Canvas:
        """Squares of ``size`` pixels, or of the next size that divides into the backbone's cells."""
        cell = max(backbone.info.strides)
        return Canvas(-(-self.source.size // cell) * cell, fit="stretch")


def some_images(split: Split, count: int) -> Split:
    """A split, or evenly ``count`` of its images; one whose samples are pairs of images stays whole."""
    pairs = any(len(sample) > 1 for task in split.tasks for sample in split.samples(task))
    if not count or len(split) <= count or pairs:
        return split
    return SomeImages(split.name, split, np.linspace(0, len(split) - 1, count).round().astype(int).tolist())


def _options(head: str, info: FeatureInfo) -> dict[str, Any]:
    """Of a plain transformer dense heads read the last layers of the second to the fourth quarter, not one alone."""
    dense = head_class(head).solves.name in ("segment", "depth")
    plain = len(default_layers(info)) == 1 and info.depth >= 4
    return {"layers": quarter_layers(info.depth)[1:]} if dense and plain else {}


@dataclass(frozen=True)
class _Tokens:
    """Makes caches of a backbone's tokens."""

    backbone: Backbone
    needs: Needs
    canvas: Canvas
    process: Distributed

    def of(self, split: Split, path: Path) -> CacheSource:
        """The tokens of a split's images, from a new cache."""
        part, batch = Part(self.process.rank + 1, self.process.size), batch_size([], self.backbone.device)
        write_cache(path, self.backbone, split, CacheSpec(self.canvas, self.needs), batch=batch, part=part)
        return CacheSource(Cache.open(path), needs=self.needs)


@torch.no_grad()
def _solve(head: Head, source: CacheSource, split: Split, process: Distributed) -> None:
    """Fit a head that can be."""
    if head.fitted:
        batch = head.recipe.batch
        data = TrainingData(source, split, Order(tuple(range(len(split))), source.views, batch, seed=0))
        head.fit(FitBatches(data, head, batch, process))


@contextmanager
def _emptied(folder: Path, process: Distributed) -> Iterator[None]:
    """A folder for all processes, without what a killed run left in it; it is removed at the end."""
    if process.main:
        shutil.rmtree(folder, ignore_errors=True)
    process.barrier()
    yield
    process.barrier()
    if process.main:
        shutil.rmtree(folder)
