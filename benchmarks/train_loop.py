"""The share of the training loop's time that is a head's forward, backward and optimiser step."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from argus_arena.distributed import join_processes
from argus_arena.requests import CacheRequest, make_request
from argus_arena.run.config import resolve
from argus_arena.run.folder import RunFolder
from argus_arena.run.prepare import prepare
from argus_arena.run.sources import open_run_data
from argus_arena.tools.cache import build_cache
from argus_arena.training.checkpoints import Checkpoints
from argus_arena.training.learner import Learner
from argus_arena.training.loop import Loop, LoopOptions
from argus_arena.training.progress import Reporter
from argus_arena.training.train import make_learners
from argus_core.plugins.hooks import load_plugins

DATA = "scenes:images=64,val=4,size=256"
SETTINGS = {"layers": [2, 5, 11], "width": 64, "batch": 16, "epochs": 6, "stages": []}


class TrainingOnly(Loop):
    """The loop without its evaluations: reading, targets, steps, log and saved states remain."""

    def _due(self, done: int) -> list[Learner]:
        return []


def main() -> None:
    """Print the share for the lighter of the built-in heads, the harder case."""
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder) / "cache"
        build_cache(
            CacheRequest(data=DATA, out=cache, backbone="tiny", canvas="256", layers=(2, 5, 11), views=("id", "hflip"))
        )
        request = make_request({"heads": ("split_tower",), "data": DATA, "cache": cache, "settings": SETTINGS})
        config, plugins = resolve(request), load_plugins()
        with join_processes("cpu") as process:
            run = prepare(config, open_run_data(request, plugins), process)
            learners = make_learners(config, run, process)
            steps, out = run.training.order.steps_per_epoch, RunFolder(Path(folder) / "run")
            checkpoints = Checkpoints(out, run.record, run.heads, steps, process, plugins, Reporter(), run.selection)
            loop = TrainingOnly(learners, run.training, run.scoring, checkpoints, LoopOptions())
            start = time.perf_counter()
            loop.run()
            total = time.perf_counter() - start
        head = learners[0].seconds
        print(f"{head:.1f} s of {total:.1f} s in the head, share {head / total:.3f} (goal >= 0.90)")


if __name__ == "__main__":
    main()
