"""What the commands about models do: describe, build, export, time."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from argus_core.argus import Argus
from argus_core.canvas import Canvas
from argus_core.cli.load import largest_canvas, on_canvas, open_model, share_canvas, tell_missing
from argus_core.cli.record import record_lines
from argus_core.common.folders import claim
from argus_core.common.license import require
from argus_core.common.progress import finished, working
from argus_core.errors import counted
from argus_core.export.folder import is_export
from argus_core.model.plan import Plan

SHOWN = 8
"""Class names listed per head."""


def describe(model: str | None) -> str:
    """Passes and costs, heads with scores, data, limits and options, and the licences that bind."""
    argus = open_model(model, "cpu")
    lines = [f"backbone  {argus.backbone.name}, weights {argus.backbone.weights_sha256[:12]}", str(argus.plan()), ""]
    for name in argus.heads:
        lines += _head(argus, name)
    lines += _licenses(argus)
    return "\n".join(lines)


def _head(argus: Argus, name: str) -> list[str]:
    head = argus.head(name)
    classes = getattr(head.task, "classes", None)
    shown = "" if classes is None else f", {len(classes)} classes: {', '.join(classes[:SHOWN])}"
    more = ", ..." if classes is not None and len(classes) > SHOWN else ""
    canvas = argus.canvas_of(name)
    options = ", ".join(f"{key} {value}" for key, value in head.options.items())
    terms = [argus.licenses()[part].name for part in (f"head {name}", f"data of {name}") if part in argus.licenses()]
    return [
        f"{name}  {head.name} ({head.task.name}){shown}{more}",
        *record_lines(head.record, "; data: ".join(terms)),
        f"    {'canvas':<9} {canvas.height}x{canvas.width} {canvas.fit}",
        f"    {'options':<9} {options or 'none'}",
        "",
    ]


def _licenses(argus: Argus) -> list[str]:
    return str(argus.licenses()).splitlines()


def export_model(
    model: str | None,
    out: Path,
    format: str,
    variant: str | None,
    license: str | None,
    verify: bool,
    partly: bool = False,
    tasks: Sequence[str] | None = None,
) -> None:
    """Write the model, with ``tasks`` some of its heads, in one of ``models.FORMATS`` and say what was written."""
    claim(out, is_export, "export")
    argus = open_model(model, "cpu", None, license, partly)
    for name in set(argus.heads) - set(argus.heads if tasks is None else argus.names(tasks)):
        argus.remove(name)
    began = time.perf_counter()
    report: Mapping[str, Any] = {}
    with working(f"export {format}"):
        if format == "bundle":
            argus.save(out, variant=variant)
        elif format == "hf":
            argus.export_hf(out, variant=variant)
        else:
            report = argus.export_onnx(out, verify) if format == "onnx" else argus.export_torch(out, verify)
    if report:
        print("\n".join(_graphs(report)))
    finished("written", out, time.perf_counter() - began)


def _graphs(report: Mapping[str, Any]) -> Iterator[str]:
    """A line per graph: its file, and the largest difference of each output from the model's own."""
    for graph, path in report["files"].items():
        yield f"{path.name}  {path.stat().st_size / 2**20:.1f} MiB"
        found = report.get("largest", {})
        for name in [key for key in found if key == graph or (graph == "argus" and key.startswith("argus/"))]:
            yield f"    {name}: " + ", ".join(f"{key} {value:.1e}" for key, value in found[name].items())
    limit = f"largest differences at six sizes; allowed is {report.get('limit')} of an output's largest value"
    yield limit if "largest" in report else "not verified"


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
        argus = Argus.from_runs(runs, which, weights, "cpu", allow_missing=True)
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
