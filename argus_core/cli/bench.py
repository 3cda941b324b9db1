"""How long a model takes on this machine."""

from __future__ import annotations

import statistics

import numpy as np

from argus_core.argus import Argus
from argus_core.canvas import Canvas
from argus_core.cli.opening import largest_canvas, on_canvas, open_model
from argus_core.errors import counted


def bench_model(model: str | None, canvas: str | None, batch: int, rounds: int, device: str | None) -> None:
    """Print the median milliseconds per pass of the backbone and of every head, for ``batch`` images of noise.

    Heads of several canvases are also timed on one, with the backbone run once.
    """
    argus = open_model(model, device, canvas)
    argus.batch = batch
    passes = argus.passes()
    print(argus.plan())
    print(f"{counted(batch, 'image')}, {argus.backbone.device}, median of {counted(rounds, 'round')}:")
    medians = _measure(argus, passes[0].canvas, rounds)
    total = sum(medians.values())
    for name, value in medians.items():
        print(f"{name:<20} {value:9.1f} ms  {value / total:6.1%}")
    summed = "" if len(passes) == 1 else f", {len(passes)} passes"
    print(f"{'total':<20} {total:9.1f} ms, {total / medians['backbone']:.2f} times the backbone{summed}")
    shared = largest_canvas(argus) if len(passes) > 1 else None
    if shared is not None:
        with on_canvas(argus, shared):
            medians = _measure(argus, shared, rounds)
        total = sum(medians.values())
        where = f"one pass of {shared.height}x{shared.width}"
        print(f"{where:<20} {total:9.1f} ms, {total / medians['backbone']:.2f} times the backbone")


def _measure(argus: Argus, canvas: Canvas, rounds: int) -> dict[str, float]:
    """The median milliseconds of every stage of a perception."""
    noise = np.random.default_rng(0)
    images = [noise.integers(0, 256, (*canvas.size, 3), dtype=np.uint8) for _ in range(argus.batch)]
    argus.perceive(images)  # the first pass sets things up
    laps = [argus.perceive(images)[0].timings_ms for _ in range(rounds)]
    return {name: statistics.median(one[name] for one in laps) for name in laps[0]}
