"""How long a model takes on this machine."""

from __future__ import annotations

import statistics

import numpy as np

from argus_core.cli.opening import open_model
from argus_core.errors import counted


def bench_model(model: str, canvas: str | None, batch: int, rounds: int, device: str | None) -> None:
    """Print the median milliseconds per pass of the backbone and of every head, for ``batch`` images of noise."""
    argus = open_model(model, device, canvas)
    argus.batch = batch
    noise = np.random.default_rng(0)
    sizes = [one.canvas.size for one in argus.passes()]
    images = [noise.integers(0, 256, (*sizes[0], 3), dtype=np.uint8) for _ in range(batch)]
    argus.perceive(images)  # the first pass sets things up
    laps = [argus.perceive(images)[0].timings_ms for _ in range(rounds)]
    medians = {name: statistics.median(one[name] for one in laps) for name in laps[0]}
    total = sum(medians.values())
    print(argus.plan())
    print(f"{counted(batch, 'image')}, {argus.backbone.device}, median of {counted(rounds, 'round')}:")
    for name, value in medians.items():
        print(f"{name:<20} {value:9.1f} ms  {value / total:6.1%}")
    print(f"{'total':<20} {total:9.1f} ms, {total / medians['backbone']:.2f} times the backbone")
