"""What a graph's file says of itself: how to feed it, what it answers, and under which terms."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from argus_core.argus import Argus
from argus_core.export.parts import Part, Parts

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


def describe(argus: Argus, parts: Parts, name: str, part: Part) -> dict[str, Any]:
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


def _head(argus: Argus, name: str) -> dict[str, Any]:
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
