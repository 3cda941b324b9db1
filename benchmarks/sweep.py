"""Five peak rates of the linear classifier on one read of a cache, against one rate.

Reading, targets and features are shared; the layer's own products are not, so the ratio grows with the classes.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from argus_arena.distributed import Distributed
from argus_arena.training.learner import Learner
from argus_core.cache import Cache, CacheSource, CacheSpec, write_cache
from argus_core.canvas import Canvas
from argus_core.recipe import Recipe
from argus_core.saving.build import build_head
from argus_core.tasks.classify import Classify
from argus_core.tokens import FeatureInfo, Needs
from timing import compare, random_backbone, show

IMAGES, SIDE, STEPS = 1024, 32, 5
RATES = (10.0, 3.0, 1.0, 0.5)


class Noise:
    """Images of noise, as a split."""

    name = "train"

    def __len__(self) -> int:
        return IMAGES

    def key(self, index: int) -> str:
        return str(index)

    digest = stamp = key

    def read(self, index: int) -> np.ndarray:
        return np.random.default_rng(index).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)


def main(classes: int) -> None:
    """Print the ratio for a number of classes."""
    torch.set_num_threads(2)
    world, task = Distributed(0, 1, torch.device("cpu")), Classify(classes=tuple(map(str, range(classes))))
    with TemporaryDirectory() as folder:
        backbone = random_backbone()
        write_cache(Path(folder), backbone, Noise(), CacheSpec(Canvas(SIDE), Needs(maps=False, cls=True)), batch=64)
        source = CacheSource(Cache.open(Path(folder)), reuse=True)

        def run(sweep: tuple[float, ...]) -> None:
            recipe = Recipe(optimizer="sgd", lr=30.0, sweep=sweep, weight_decay=0, clip=0, epochs=STEPS)
            head = build_head("classify.linear", FeatureInfo.from_dict(backbone.info.to_dict()), task)
            learner = Learner("linear", head, recipe, 1, 0, world)
            learner.start([])
            for step in range(STEPS):
                items = [(index, "id") for index in np.random.default_rng(step).permutation(IMAGES).tolist()]
                tokens, places = source.read(items)
                targets = [task.target(index % classes, place) for (index, _), place in zip(items, places, strict=True)]
                learner.step(step, tokens, targets)

        show(
            f"five rates, {classes} classes, batch {IMAGES}", *compare(lambda: run(RATES), lambda: run(()), 3), "<= 1.5"
        )


if __name__ == "__main__":
    for count in map(int, sys.argv[1:] or ("10", "100", "1000")):
        main(count)
