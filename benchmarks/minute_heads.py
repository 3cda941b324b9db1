"""What the benchmarks of solved heads share: five data sets, their caches, images chosen from both splits, scores.

Nothing here is run by itself: see closed_form.py, few_labels.py and suggestions.py.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from argus_arena.distributed import Distributed
from argus_arena.run.batches import FitBatches, Order, TrainingData
from argus_arena.run.recipes import suited_recipe
from argus_arena.scoring.evaluate import evaluate
from argus_arena.scoring.rules import Scoring
from argus_arena.training.learner import Learner
from argus_core.cache import Cache, CacheSource
from argus_core.canvas import Placement
from argus_core.data import Split
from argus_core.head import Head
from argus_core.plugins.data_spec import open_data
from argus_core.saving.build import build_head, head_class
from argus_core.tasks import Metric, Task
from argus_core.teach.solve import join_tokens
from argus_core.tokens import Item, PlacedTokens

Place = tuple[int, int]
"""An image: 0 for the training split or 1 for validation, and its index there."""
WORLD = Distributed(0, 1, torch.device("cpu"))
HIGHER = {"top1": True, "mIoU": True, "AP50": True, "abs_rel": False}
"""Metrics, and whether more is better."""


class Kind(NamedTuple):
    """A task of a data set: the head that is solved, the one that is trained, and the metric."""

    solved: str
    trained: str
    metric: str


TASKS = {
    "classify": Kind("classify.ridge", "classify.linear", "top1"),
    "segment": Kind("segment.ridge", "segment.linear", "mIoU"),
    "depth": Kind("depth.ridge", "depth.linear", "abs_rel"),
    "detect": Kind("detect.closed_form", "detect.slim_fcos", "AP50"),
}


@dataclass(frozen=True)
class DataSet:
    """Images below ``data`` and how their tokens are cached; all paths of ``spec`` begin with ``{}``."""

    name: str
    spec: str
    caching: tuple[str, ...]
    tasks: tuple[str, ...]

    def data(self, root: Path) -> str:
        """The data spec."""
        return self.spec.format(root)

    def cache(self, root: Path, caches: Path, backbone: Sequence[str]) -> Path:
        """The cache below ``caches``, made if there is none."""
        folder = caches / self.name
        if not (folder / "val" / "manifest.json").is_file():
            arena("cache", "--data", self.data(root), "--out", str(folder), *self._asked(backbone), *self.caching)
        return folder

    def _asked(self, backbone: Sequence[str]) -> list[str]:
        """The options without ``--layers`` where no maps are cached: CLS is that of the last layer."""
        options = list(backbone)
        if "--no-maps" in self.caching and "--layers" in options:
            at = options.index("--layers")
            del options[at : at + 2]
        return options


MAPS = ("--views", "id,hflip")
NYU = "images:{}/nyuv2,masks=labels40,depth=depth,classes=meta.json:classes13,remap=meta.json:to13"
SETS = {
    each.name: each
    for each in (
        DataSet("imagenette", "folder:{}/imagenette160", ("--canvas", "160", "--no-maps", "--cls"), ("classify",)),
        DataSet("clothing", "folder:{}/clothing10", ("--canvas", "224", "--no-maps", "--cls"), ("classify",)),
        DataSet(
            "camvid",
            "images:{}/camvid,masks=masks,classes=classes.json",
            ("--canvas", "288x384", *MAPS),
            ("segment",),
        ),
        DataSet("nyu", NYU, ("--canvas", "320", *MAPS), ("segment", "depth")),
        DataSet("bccd", "coco:{}/bccd", ("--canvas", "320", *MAPS), ("detect",)),
    )
}
LITE0 = ("--backbone", "lite0", "--layers", "2,3,4")


def arena(*arguments: str) -> float:
    """Run a command line without its output; returns its seconds."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "argus_arena", *arguments], check=True, capture_output=True)
    return time.perf_counter() - began


@dataclass(frozen=True)
class Chosen:
    """Some images of both splits of a data set, as one split and as one source of tokens, in their order."""

    splits: Sequence[Split]
    sources: Sequence[CacheSource]
    places: Sequence[Place]
    name: str = "chosen"
    skipped: Mapping[int, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.places)

    @property
    def tasks(self) -> Mapping[str, Task]:
        """Those of the training split."""
        return self.splits[0].tasks

    def key(self, index: int) -> str:
        """Which split, and the key there."""
        part, place = self.places[index]
        return f"{part}/{self.splits[part].key(place)}"

    def samples(self, task: str) -> list[tuple[int, ...]]:
        """Each image on its own."""
        return [(index,) for index in range(len(self))]

    def truth(self, sample: int, task: str) -> Any:
        """The annotation of an image."""
        part, place = self.places[sample]
        return self.splits[part].truth(place, task)

    def passes(self, index: int) -> list[Item]:
        """One pass over the image as it is."""
        return [(index, "id")]

    def placement(self, item: Item) -> Placement:
        """Where the image lies on the canvas."""
        part, place = self.places[item[0]]
        return self.sources[part].placement((place, item[1]))

    def read(self, items: Sequence[Item]) -> PlacedTokens:
        """Tokens and placements, read by split and put into the order of ``items``."""
        placed: list[PlacedTokens] = []
        order: list[int] = []
        for part, source in enumerate(self.sources):
            own = [
                (n, self.places[index][1], view)
                for n, (index, view) in enumerate(items)
                if self.places[index][0] == part
            ]
            if own:
                order += [n for n, _, _ in own]
                placed.append(source.read([(place, view) for _, place, view in own]))
        back = np.argsort(order).tolist()
        tokens, placements = (
            join_tokens([each.tokens for each in placed]),
            [p for each in placed for p in each.placements],
        )
        return PlacedTokens(tokens[back], [placements[n] for n in back])


@dataclass(frozen=True)
class Bench:
    """A data set and its cache: heads are solved, trained and scored on any of its images."""

    spec: str
    folder: Path

    @cached_property
    def splits(self) -> tuple[Split, Split]:
        """Training and validation."""
        data = open_data(self.spec)
        return data["train"], data["val"]

    @cached_property
    def caches(self) -> tuple[Cache, Cache]:
        """Their caches."""
        return Cache.open(self.folder / "train"), Cache.open(self.folder / "val")

    @property
    def train(self) -> list[Place]:
        """The training images."""
        return [(0, index) for index in range(len(self.splits[0]))]

    @property
    def val(self) -> list[Place]:
        """The validation images."""
        return [(1, index) for index in range(len(self.splits[1]))]

    def resplit(self, seed: int) -> tuple[list[Place], list[Place]]:
        """All images divided anew, as many in each part as before."""
        places = [*self.train, *self.val]
        order = np.random.default_rng(seed).permutation(len(places)).tolist()
        return [places[n] for n in order[: len(self.train)]], [places[n] for n in order[len(self.train) :]]

    def make(self, name: str, options: Mapping[str, Any] | None = None, seed: int = 0) -> Head:
        """A new head."""
        torch.manual_seed(seed)
        return build_head(name, self.caches[0].info(), self.task(head_class(name).solves.name), options or {})

    def task(self, name: str) -> Task:
        """The task with the numbers of the data set."""
        return self.splits[0].tasks[name]

    def solve(self, head: Head, images: Sequence[Place]) -> float:
        """Fit a head; returns the seconds it took."""
        began = time.perf_counter()
        with torch.no_grad():
            head.fit(FitBatches(self._learning(head, images, head.recipe.batch, 0), head, head.recipe.batch, WORLD))
        return time.perf_counter() - began

    def teach(self, head: Head, images: Sequence[Place], steps: int, batch: int, seed: int) -> dict[str, Head]:
        """Train a head by its recipe, suited to so many ``steps`` of ``batch`` images; returns its variants."""
        batch = min(batch, len(images))
        wanted = head.recipe.model_copy(update={"steps": steps, "epochs": 1, "batch": batch})
        recipe = suited_recipe(head.recipe, wanted, ("steps", "batch"), len(images))
        data = self._learning(head, images, batch, seed)
        learner = Learner("trained", head, recipe, data.order.steps_per_epoch, seed, WORLD)
        learner.start([])
        for step in range(learner.steps):
            tokens, targets = data.batch(data.order.items(step), {head.task.name: head.task})
            learner.step(step, tokens, targets[head.task.name])
        return learner.variants()

    def scores(self, heads: Mapping[str, Head], images: Sequence[Place], metric: str) -> dict[str, float]:
        """The metric of each head, all scored on one read."""
        return {name: float(each.compute()[metric]) for name, each in self.metrics(heads, images).items()}

    def metrics(self, heads: Mapping[str, Head], images: Sequence[Place]) -> dict[str, Metric]:
        """The filled metrics of heads, all scored on one read."""
        chosen: Any = self._chosen(images)
        return evaluate(heads, Scoring(chosen, chosen), WORLD, 16, lambda done, total: None)

    def placed(self, images: Sequence[Place], size: int = 64) -> Iterator[PlacedTokens]:
        """The tokens and placements of some images in batches."""
        chosen = self._chosen(images)
        for first in range(0, len(images), size):
            yield chosen.read([(n, "id") for n in range(first, min(first + size, len(images)))])

    def _chosen(self, images: Sequence[Place]) -> Chosen:
        return Chosen(self.splits, [CacheSource(cache) for cache in self.caches], images)

    def _learning(self, head: Head, images: Sequence[Place], batch: int, seed: int) -> TrainingData:
        chosen: Any = self._chosen(images)
        views = tuple(self.caches[0].manifest.spec.views) if head.trained else ("id",)
        return TrainingData(chosen, chosen, Order(tuple(range(len(images))), views, batch, seed))
