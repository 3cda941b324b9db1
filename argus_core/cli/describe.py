"""What a model holds, and the model for other programs."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from argus_core.argus import Argus
from argus_core.cli.opening import open_model
from argus_core.cli.record import record_lines
from argus_core.export.folder import is_export
from argus_core.ground import claim
from argus_core.progress import finished, working

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
