"""The folder of an export: graphs with a record of each, checked, and written whole or not at all."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypedDict

from argus_core.common.files import read_json, write_json
from argus_core.common.folders import claim
from argus_core.errors import ArgusError
from argus_core.export.parts import Part, Parts, at_rest, take_apart
from argus_core.export.verify import Run, check_graphs
from argus_core.model import Composition
from argus_core.saving.config import is_bundle
from argus_core.tokens import FeatureInfo
from argus_core.tokens.taps import EmbeddingLayers

KEY = "argus"
"""The metadata property, or extra file, that holds the record as JSON."""
FORMAT = "argus-export-1"
REPORT = "export.json"
STAGE = ".export-"
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
    "embeddings": "a vector of length 1 of each box; 0 beyond count; compare by dot products",
    "embedding": "a vector of length 1 of each whole image",
    "descriptors": "features in cells of stride pixels, for the match graph",
    "first": "descriptors of the first image",
    "second": "descriptors of the second image",
    "points": "x, y canvas pixels of the first image",
    "extents": "where both images end on their canvases (2, 2: height, width); 0 for all of it",
    "matches": "x, y canvas pixels of the second image",
}


class _Written(TypedDict):
    files: dict[str, Path]
    licenses: dict[str, Any]


class ExportReport(_Written, total=False):
    """The files by graph, their terms, and, if they were verified, their differences from the Argus.

    ``differences`` are by graph, output and shape of the images, ``largest`` by graph and output; ``int8`` is the
    drift of a backbone in int8.
    """

    limit: float
    largest: dict[str, dict[str, float]]
    differences: dict[str, dict[str, dict[str, float]]]
    int8: dict[str, Any]


def export_graphs(
    argus: Composition,
    folder: Path,
    write: Callable[[Composition, Parts, Path], dict[str, Path]],
    open_graph: Callable[[Path], Run],
    verify: bool,
    limit: float,
    embedding: EmbeddingLayers | None = None,
    int8: Callable[[Parts, Path], dict[str, Any]] | None = None,
) -> ExportReport:
    """Let ``write`` put the graphs of an Argus into ``folder``, and with ``verify`` run and compare each of them.

    ``int8`` then puts a quantised backbone into the files, and says how far it is off.
    """
    with at_rest(argus), staged(folder) as stage:
        parts = take_apart(argus, embedding)
        files = write(argus, parts, stage)
        report = ExportReport(
            files={name: folder / path.name for name, path in files.items()}, licenses=argus.licenses().to_dict()
        )
        if verify:
            checked = check_graphs(argus, parts, {name: open_graph(path) for name, path in files.items()}, limit)
            report |= {"limit": limit, "largest": checked.largest(), "differences": checked.differences}
        if int8 is not None:
            report["int8"] = int8(parts, stage)
        write_json(stage / REPORT, {**report, "files": {name: path.name for name, path in files.items()}})
        return report


@contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """A folder in ``folder`` whose files move there at the end; after an error none of them is left.

    Raises ArgusError for a folder that holds anything but an export or a saved Argus.
    """
    claim(folder, is_export, "export")
    fresh = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.iterdir():  # by an export that was killed, named by tempfile
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
        report = read_json(folder / REPORT, "")
        return isinstance(report, dict) and {"files", "licenses"} <= report.keys()
    return False


def describe(argus: Composition, parts: Parts, name: str, part: Part) -> str:
    """The record of one graph as JSON on one line."""
    backbone = argus.backbone
    strides = {key: {"stride": stride} for key, stride in part.strides.items()}
    record = {
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
        "heads": {key: _describe_head(argus, key) for key in argus.heads},
        "embeddings": parts.embedding and _describe_embeddings(parts.embedding, backbone.info),
        "inputs": {key: _meaning(key) for key in part.inputs},
        "outputs": {key: {"meaning": _meaning(key), **strides.get(key, {})} for key in part.outputs},
        "licenses": argus.licenses().to_dict(),
    }
    return json.dumps(record, ensure_ascii=False)


def _describe_embeddings(layers: EmbeddingLayers, info: FeatureInfo) -> dict[str, Any]:
    """By what it is of: the layer, the length of a vector, and what was done to it."""
    kinds = {"objects": "mean of the map over the box", "images": "CLS, or the mean of all cells where there is none"}
    return {
        kind: {"layer": layer, "dimension": info.channels[layer], "pooling": kinds[kind], "normalised": "L2"}
        for kind, layer in layers._asdict().items()
    }


def _describe_head(argus: Composition, name: str) -> dict[str, Any]:
    head = argus.head(name)
    canvas = argus.canvas or head.canvas
    return {
        "head": head.name,
        "task": head.task.name,
        "numbers": head.task.model_dump(mode="json"),
        "canvas": canvas and canvas.to_dict(),
    }


def _meaning(name: str) -> str:
    """The meaning of an input or output by its name, which the whole graph prefixes with the head's."""
    kind, _, layer = name.rpartition("_")
    if kind in ("map", "prefix") and layer.isdigit():
        return f"raw tokens of layer {layer}, before the final norm"
    return MEANINGS[name if name in MEANINGS else layer]
