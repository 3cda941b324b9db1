"""What choosing on the validation split adds to a score: one detector on real images, chosen in three ways.

Each training is scored on the validation split after every evaluation too, so that what the choice took can be
compared with the best that there was. Give a data spec, such as ``coco:PATH``, and a folder for caches and runs.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from argus_arena.requests import CacheRequest, make_request
from argus_arena.tools.cache import build_cache
from argus_arena.training import train
from argus_arena.training.learner import Learner
from argus_arena.training.loop import Loop

SEEDS, STEPS = 3, 300
SETTINGS = {"steps": STEPS, "batch": 8, "width": 48, "evaluations": 10}


class Watched(Loop):
    """The loop that scores val after every evaluation as well, which nothing is chosen by."""

    seen: dict[int, float] = {}  # noqa: RUF012, as the command makes the loops

    def _score(self, due: Sequence[Learner], done: int) -> None:
        super()._score(due, done)
        if due and self.checkpoints.chooses(due[0]):
            for _, metrics in self._metrics(due, self.scoring, Learner.variants, done):
                self.seen[done] = next(iter(metrics.values())).compute()["AP"]


def measured(data: str, out: Path, selection: str, seed: int) -> tuple[dict[str, Any], dict[int, float]]:
    """The row of a training, and the AP on val after each of its evaluations."""
    Watched.seen = {}
    given = {"heads": ("slim_fcos",), "data": data, "cache": str(out / "cache"), "seed": seed, "selection": selection}
    run = out / f"selection{selection}-{seed}"
    return train.train_run(make_request({**given, "settings": SETTINGS}), run)["slim_fcos"], Watched.seen


def main() -> None:
    """Print a line of a table for each seed and way of choosing."""
    data, out = sys.argv[1], Path(sys.argv[2])
    layers = (2, 3, 4)
    build_cache(CacheRequest(data=data, out=out / "cache", backbone="lite0", canvas="192x256", layers=layers))
    train.Loop = Watched  # type: ignore[misc]
    lines = [
        "| seed | chosen on | step | AP there | AP on val | best of val | optimism |",
        "|---|---|---|---|---|---|---|",
    ]
    for seed in range(SEEDS):
        for selection in ("0.1", "val", "0"):
            row, seen = measured(data, out, selection, seed)
            chosen, ap = row["selected"], row["metrics"]["AP"]
            there = f"{chosen['metrics']['AP']:.4f}" if chosen["split"] else "-"
            best = max(seen.values(), default=ap)
            where = f"{chosen['images']} of {chosen['split']}" if chosen["split"] else "nothing (the last)"
            shown = f"{there} | {ap:.4f} | {best:.4f} | {best - ap:+.4f}" if seen else f"- | {ap:.4f} | - | -"
            lines.append(f"| {seed} | {where} | {chosen['step']} | {shown} |")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
