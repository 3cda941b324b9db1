"""The work of the commands about models: describe, build, export, publish, time."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from argus_core.argus import Argus
from argus_core.canvas import Canvas
from argus_core.cli.load import largest_canvas, on_canvas, open_model, print_missing, share_canvas
from argus_core.cli.requests import BuildRequest, ExportRequest, PushRequest, split_names
from argus_core.cli.transfer import transfer
from argus_core.common.folders import claim
from argus_core.common.license import require
from argus_core.common.progress import finished, working
from argus_core.errors import counted
from argus_core.export.folder import is_export
from argus_core.export.int8 import Drift
from argus_core.export.ir import check_openvino
from argus_core.export.onnx import check_onnx
from argus_core.model.plan import Plan
from argus_core.saving.push import push
from argus_core.saving.record import record_lines

SHOWN_CLASSES = 8


def describe(model: str | None) -> str:
    """Passes and costs, heads with scores, data, limits and options, and the licences."""
    argus = open_model(model, "cpu")
    lines = [f"backbone  {argus.backbone.name}, weights {argus.backbone.weights_sha256[:12]}", str(argus.plan()), ""]
    for name in argus.heads:
        lines += _head(argus, name)
    return "\n".join([*lines, str(argus.licenses())])


def _head(argus: Argus, name: str) -> list[str]:
    head = argus.head(name)
    classes = getattr(head.task, "classes", None)
    shown = "" if classes is None else f", {len(classes)} classes: {', '.join(classes[:SHOWN_CLASSES])}"
    more = ", ..." if classes is not None and len(classes) > SHOWN_CLASSES else ""
    canvas = argus.canvas_of(name)
    options = ", ".join(f"{key} {value}" for key, value in head.options.items())
    terms = [argus.licenses()[part].name for part in (f"head {name}", f"data of {name}") if part in argus.licenses()]
    return [
        f"{name}  {head.name} ({head.task.name}){shown}{more}",
        *record_lines(head.record, "; data: ".join(terms), head.calibration),
        f"    {'canvas':<9} {canvas.label}",
        f"    {'options':<9} {options or 'none'}",
        "",
    ]


def export_model(request: ExportRequest) -> None:
    """Write the model in the requested format, and say what was written."""
    out, format = request.out, request.format
    claim(out, is_export, "export")
    _check_graphs(request)
    argus = open_model(request.model, "cpu", None, request.require_license, request.allow_missing)
    keep(argus, request.tasks)
    start = time.perf_counter()
    report: Mapping[str, Any] = {}
    with working(f"export {format}"):
        if format == "bundle":
            argus.save(out, variant=request.variant)
        elif format == "hf":
            argus.export_hf(out, variant=request.variant)
        else:
            argus.embedding_layer = request.embedding_layer
            report = _write_graphs(argus, request)
    for line in _graphs(report) if report else ():
        print(line)
    finished("written", out, time.perf_counter() - start)


def _check_graphs(request: ExportRequest) -> None:
    """Raise ArgusError for what forbids a graph, before the model is loaded."""
    if request.format == "onnx":
        check_onnx(request.verify)
    if request.format == "openvino":
        check_openvino(request.int8)


def _write_graphs(argus: Argus, request: ExportRequest) -> Mapping[str, Any]:
    if request.format == "openvino":
        return argus.export_openvino(request.out, request.verify, request.embeddings, request.int8)
    write = argus.export_onnx if request.format == "onnx" else argus.export_torch
    return write(request.out, request.verify, request.embeddings)


def keep(argus: Argus, tasks: str | None) -> None:
    """Remove the heads that are neither of the tasks nor named, if any are."""
    if (names := split_names(tasks)) is not None:
        for name in argus.heads.keys() - argus.names(names):
            argus.remove(name)


def push_model(request: PushRequest) -> None:
    """Publish the model, or say with its card what would be; then how to load it."""
    argus = open_model(request.model, "cpu", None, request.require_license, partly=False)
    keep(argus, request.tasks)
    start = time.perf_counter()
    with transfer(f"push {request.repository}"):
        upload = push(
            argus,
            request.repository,
            private=request.private,
            revision=request.revision,
            variant=request.variant,
            message=request.message,
            license_file=request.license_file,
            dry_run=request.dry_run,
            accept_license=request.accept_license,
            announce=lambda upload: print(f"{upload.card}\n{upload}" if request.dry_run else upload, flush=True),
        )
    if request.dry_run:
        print("nothing was published; without --dry-run it would be")
        return
    print("unchanged: the hub has all of this already" if upload.unchanged else f"commit   {upload.commit}")
    print(f'argus = Argus.load("{upload.hub_id}")\nargus perceive photo.jpg --model {upload.hub_id}')
    finished("published", upload.address, time.perf_counter() - start)


def _graphs(report: Mapping[str, Any]) -> Iterator[str]:
    """A line per graph: its file, and the largest difference of each output from the model's own."""
    for graph, path in report["files"].items():
        size = sum(part.stat().st_size for part in (path, path.with_suffix(".bin")) if part.exists())
        yield f"{path.name}  {size / 2**20:.1f} MiB"
        for name, outputs in report.get("largest", {}).items():
            if name == graph or (graph == "argus" and name.startswith("argus/")):
                yield f"    {name}: " + ", ".join(f"{key} {value:.1e}" for key, value in outputs.items())
    limit = f"largest differences at six sizes; allowed is {report.get('limit')} of an output's largest value"
    yield limit if "largest" in report else "not verified"
    if "int8" in report:
        yield f"{Drift(**report['int8'])}"


def build_model(request: BuildRequest) -> None:
    """Write the model to a folder and print passes, costs and names; with a canvas all heads share one pass."""
    start = time.perf_counter()
    with working("build"):
        argus = Argus.from_runs(request.runs, request.which, request.weights, "cpu", allow_missing=True)
    print_missing(argus)
    require(argus, request.require_license)
    own_passes = len(argus.passes())
    if request.canvas is not None:
        share_canvas(argus, request.canvas)
    with working("write"):
        argus.save(request.out, variant=request.variant)
        plan = argus.plan()
    print(plan)
    print(f"an image takes {counted(len(plan.passes), 'backbone pass')}, {plan.macs / 1e9:.3g} GMACs")
    for line in advice(argus, plan, own_passes):
        print(line, file=sys.stderr)
    print("heads: " + ", ".join(f"{name} ({argus.head(name).name})" for name in argus.heads))
    for name in _renamed(argus):
        print(f"notice: {name} has its task in front, as another run has a head of its name", file=sys.stderr)
    finished("model", request.out, time.perf_counter() - start)


def advice(argus: Argus, plan: Plan, own_passes: int) -> list[str]:
    """How to save passes, or the drawback of having done so; on their own canvases the heads take ``own_passes``."""
    passes = len(plan.passes)
    if passes > 1:
        text = f"notice: heads were trained on {passes} canvases, so the backbone looks at every image {passes} times"
        shared = largest_canvas(argus)
        if shared is not None:
            with on_canvas(argus, shared):
                once = argus.plan().macs / 1e9
            text += f"; with --canvas {shared.height}x{shared.width} it would once, for {once:.3g} GMACs"
        return [text, "        score heads again on a canvas that is not theirs, or train them together on one"]
    if own_passes > 1:
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
    _print_total("total", medians, "" if len(passes) == 1 else f", {len(passes)} passes")
    shared = largest_canvas(argus) if len(passes) > 1 else None
    if shared is not None:
        with on_canvas(argus, shared):
            _print_total(f"one pass of {shared.height}x{shared.width}", _measure(argus, shared, rounds))


def _print_total(label: str, medians: Mapping[str, float], passes: str = "") -> None:
    total = sum(medians.values())
    print(f"{label:<20} {total:9.1f} ms, {total / medians['backbone']:.2f} times the backbone{passes}")


def _measure(argus: Argus, canvas: Canvas, rounds: int) -> dict[str, float]:
    """The median milliseconds of the backbone and of every head in ``Argus.perceive``."""
    noise = np.random.default_rng(0)
    images = [noise.integers(0, 256, (*canvas.size, 3), dtype=np.uint8) for _ in range(argus.batch)]
    argus.perceive(images)  # the first call is slower
    laps = [argus.perceive(images)[0].timings_ms for _ in range(rounds)]
    return {name: statistics.median(lap[name] for lap in laps) for name in laps[0]}
