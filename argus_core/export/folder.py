"""The folder an export goes to, whole or as it was, and the metadata of its graphs."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

from argus_core.common.files import read_json, write_json
from argus_core.common.folders import claim
from argus_core.errors import ArgusError
from argus_core.export.parts import Part, Parts
from argus_core.export.verify import Report
from argus_core.model import Composition
from argus_core.saving.config import is_bundle

KEY = "argus"
"""The metadata property, or extra file, that holds the record as JSON."""
FORMAT = "argus-export-1"
MEANINGS = {
    "images": "RGB bytes (batch, 3, height, width), resized to the canvas; normalised inside",
    "extent": "where each image ends on its canvas (batch, 2: height, width); 0 for all of it; the rest is padding",
    "ends": "where each image ends on its canvas (batch, 2: height, width)",
    "scores": "per class; probabilities of most heads, cosines of prototypes; of detections 0 to 1, best first",
    "logits": "per class, in cells of stride pixels; enlarge bilinearly (half-pixel centres), then argmax",
    "depth": "metres, in cells of stride pixels; enlarge bilinearly (half-pixel centres)",
    "spread": "standard deviation of the depth in metres",
    "boxes": "x1, y1, x2, y2 canvas pixels, suppressed and clipped to the image; 0 beyond count",
    "labels": "indices of classes; -1 beyond count",
    "count": "detections of each image",
    "descriptors": "features in cells of stride pixels, for the match graph",
    "first": "descriptors of the first image",
    "second": "descriptors of the second image",
    "points": "x, y canvas pixels of the first image",
    "extents": "where both images end on their canvases (2, 2: height, width); 0 for all of it",
    "matches": "x, y canvas pixels of the second image",
}


def describe(argus: Composition, parts: Parts, name: str, part: Part) -> dict[str, Any]:
    """The record of one graph as plain JSON values."""
    backbone = argus.backbone
    return {
        "format": FORMAT,
        "graph": name,
        "versions": {package: version(package) for package in ("argus-perception", "torch", "timm")},
        "backbone": {"name": backbone.name, "weights_sha256": backbone.weights_sha256},
        "preprocessing": {
            "colours": "RGB",
            "mean": list(backbone.mean),
            "std": list(backbone.std),
            "scale": 1 / 255,
            "inside": True,
            "multiple": parts.unit,
        },
        "canvas": argus.canvas and argus.canvas.to_dict(),
        "heads": {key: _head(argus, key) for key in argus.heads},
        "inputs": {key: _meaning(key) for key in part.inputs},
        "outputs": {key: _output(part, key) for key in part.outputs},
        "licenses": argus.licenses().to_dict(),
    }


def as_text(record: Mapping[str, Any]) -> str:
    """JSON on one line."""
    return json.dumps(record, ensure_ascii=False)


def _head(argus: Composition, name: str) -> dict[str, Any]:
    head = argus.head(name)
    canvas = argus.canvas or head.canvas
    return {
        "head": head.name,
        "task": head.task.name,
        "numbers": head.task.model_dump(mode="json"),
        "canvas": canvas and canvas.to_dict(),
    }


def _output(part: Part, key: str) -> dict[str, Any]:
    known = {"meaning": _meaning(key)}
    return {**known, "stride": part.strides[key]} if key in part.strides else known


def _meaning(name: str) -> str:
    """What an input or output of a graph is, by its name, which the whole graph puts a head's in front of."""
    kind, _, layer = name.rpartition("_")
    if kind in ("map", "prefix") and layer.isdigit():
        return f"raw tokens of layer {layer}, before the final norm"
    return MEANINGS[name if name in MEANINGS else layer]


REPORT = "export.json"
STAGE = ".export-"


@contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """A folder in ``folder`` whose files move there when all is done; after an error nothing of it is left.

    Raises ArgusError for a folder that holds anything but an export or a saved Argus.
    """
    claim(folder, is_export, "export")
    fresh = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.iterdir():  # of a killed one, as tempfile names it
        if re.fullmatch(rf"{re.escape(STAGE)}[a-z0-9_]{{8}}", left.name):
            shutil.rmtree(left, ignore_errors=True)
    try:
        with tempfile.TemporaryDirectory(prefix=STAGE, dir=folder) as stage:
            yield Path(stage)
            for path in sorted(Path(stage).iterdir()):
                path.replace(folder / path.name)
    finally:
        if fresh and not any(folder.iterdir()):
            folder.rmdir()


def is_export(folder: Path) -> bool:
    """Whether a folder holds graphs that were written here, or a saved Argus."""
    if is_bundle(folder):
        return True
    with suppress(ArgusError):
        held = read_json(folder / REPORT, "")
        return isinstance(held, dict) and {"files", "licenses"} <= held.keys()
    return False


def record(
    argus: Composition, files: Mapping[str, Path], found: Report | None, folder: Path, stage: Path
) -> dict[str, Any]:
    """Where the files will be, under which terms, and how far they are off; also written as ``export.json``."""
    report: dict[str, Any] = {"files": {name: path.name for name, path in files.items()}}
    report["licenses"] = argus.licenses().to_dict()
    if found:
        report |= {"limit": found.limit, "largest": found.largest(), "differences": found.differences}
    write_json(stage / REPORT, report)
    return {**report, "files": {name: folder / path.name for name, path in files.items()}}
