"""The share of the training loop's time that is a head's forward, backward and optimiser step."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from argus_arena.distributed import join_processes
from argus_arena.progress import Reporter
from argus_arena.run.config import resolve
from argus_arena.run.context import prepare
from argus_arena.run.folder import RunFolder
from argus_arena.tools.cache import CacheRequest, build_cache
from argus_arena.training.learner import make_learners
from argus_arena.training.loop import Loop
from argus_arena.training.train import make_request
from argus_core.plugins.hooks import load_plugins

DATA = "scenes:images=64,val=4,size=256"
SETTINGS = {"layers": [2, 5, 11], "width": 64, "batch": 16, "epochs": 6, "stages": []}


class TrainingOnly(Loop):
    """The loop without its evaluations: reading, targets, steps, log and saved states remain."""

    def _evaluate(self, done: int) -> None:
        pass


def main() -> None:
    """Print the share for the lighter of the built-in heads, the harder case."""
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder) / "cache"
        build_cache(CacheRequest(DATA, cache, "tiny", canvas=(256, 256), layers=(2, 5, 11), views=("id", "hflip")))
        request = make_request({"heads": ("split_tower",), "data": DATA, "cache": str(cache)}, SETTINGS, None)
        config, world = resolve(request), join_processes("cpu")
        setting = prepare(config, load_plugins(), world)
        learners = make_learners(config, setting, world)
        loop = TrainingOnly(setting, learners, RunFolder(Path(folder) / "run"), world, Reporter())
        began = time.perf_counter()
        loop.run()
        total = time.perf_counter() - began
        spent = learners[0].seconds
        print(f"{spent:.1f} s of {total:.1f} s in the head, share {spent / total:.3f} (goal >= 0.90)")


if __name__ == "__main__":
    main()
