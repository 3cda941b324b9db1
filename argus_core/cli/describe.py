"""What a model holds, and the model for other programs."""

from __future__ import annotations

from pathlib import Path

from argus_core.argus import Argus
from argus_core.cli.opening import open_model
from argus_core.errors import unknown

FORMATS = ("hf", "bundle")
SHOWN = 8
"""Class names listed per head."""


def describe(model: str) -> str:
    """Passes and costs, heads with their classes and options, and the licences that bind."""
    argus = open_model(model, "cpu")
    lines = [f"backbone  {argus.backbone.name}, weights {argus.backbone.weights_sha256[:12]}", str(argus.plan()), ""]
    for name in argus.heads:
        lines += _head(argus, name)
    lines += ["", *_licenses(argus)]
    return "\n".join(lines)


def _head(argus: Argus, name: str) -> list[str]:
    head = argus.head(name)
    classes = getattr(head.task, "classes", None)
    shown = "" if classes is None else f", {len(classes)} classes: {', '.join(classes[:SHOWN])}"
    more = ", ..." if classes is not None and len(classes) > SHOWN else ""
    return [f"{name}  {head.name} ({head.task.name}){shown}{more}", f"    options {head.options}"]


def _licenses(argus: Argus) -> list[str]:
    return str(argus.licenses()).splitlines()


def export_model(model: str, out: Path, format: str, variant: str | None, license: str | None) -> None:
    """Write the model in one of ``FORMATS`` and say what was written."""
    if format not in FORMATS:
        raise unknown("export format", format, FORMATS)
    argus = open_model(model, "cpu", None, license)
    if format == "bundle":
        argus.save(out, variant=variant)
    else:
        argus.export_hf(out, variant=variant)
    print(f"written: {out}")
