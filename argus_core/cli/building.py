"""One model of the heads of several runs, as a folder."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from argus_core.argus import Argus
from argus_core.cli.opening import largest_canvas, on_canvas, share_canvas, tell_missing
from argus_core.errors import counted
from argus_core.license import require
from argus_core.plan import Plan
from argus_core.progress import finished, working
from argus_core.trained import assemble


def build_model(
    runs: Sequence[Path],
    out: Path,
    weights: Path | None = None,
    which: str = "best",
    variant: str | None = None,
    canvas: str | None = None,
    license: str | None = None,
) -> None:
    """Write the model to ``out`` and print passes, costs and names; ``canvas`` puts all heads on one pass."""
    began = time.perf_counter()
    with working("build"):
        argus = assemble(runs, which, weights, "cpu", allow_missing=True)
    tell_missing(argus)
    require(argus, license)
    own = len(argus.passes())
    if canvas is not None:
        share_canvas(argus, canvas)
    with working("write"):
        argus.save(out, variant=variant)
        plan = argus.plan()
    print(plan)
    print(f"an image takes {counted(len(plan.passes), 'backbone pass')}, {plan.macs / 1e9:.3g} GMACs")
    for line in advice(argus, plan, own):
        print(line, file=sys.stderr)
    print("heads: " + ", ".join(f"{name} ({argus.head(name).name})" for name in argus.heads))
    for name in _renamed(argus):
        print(f"notice: {name} has its task in front, as another run has a head of its name", file=sys.stderr)
    finished("model", out, time.perf_counter() - began)


def advice(argus: Argus, plan: Plan, own: int) -> list[str]:
    """How to make do with one pass, or what was given up for it; ``own`` passes are what the heads were trained for."""
    passes = len(plan.passes)
    if passes > 1:
        text = f"notice: heads were trained on {passes} canvases, so the backbone looks at every image {passes} times"
        shared = largest_canvas(argus)
        if shared is not None:
            with on_canvas(argus, shared):
                once = argus.plan().macs / 1e9
            text += f"; with --canvas {shared.height}x{shared.width} it would once, for {once:.3g} GMACs"
        return [text, "        score heads again on a canvas that is not theirs, or train them together on one"]
    if own > 1:
        return ["notice: some heads see a canvas they were not trained on; score them again before relying on them"]
    return []


def _renamed(argus: Argus) -> list[str]:
    """Heads called TASK_NAME where there is a NAME."""
    tasks = {name: argus.head(name).task.name for name in argus.heads}
    return [name for name, task in tasks.items() if any(name == f"{task}_{other}" for other in tasks)]
