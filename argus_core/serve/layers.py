"""Answers of heads as layers of a page: numbers as JSON, maps as compressed bytes."""

from __future__ import annotations

import gzip
from functools import singledispatch
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from argus_core.draw.palette import class_color
from argus_core.tasks import Result
from argus_core.tasks.classify import ClassResult
from argus_core.tasks.depth import DepthResult
from argus_core.tasks.detect import DetectionResult
from argus_core.tasks.segment import SegmentResult

NONE = 65535
"""The label of a pixel without a class."""
STEPS = 4095
"""Steps of depth from 0 to the farthest pixel."""


class Layer(NamedTuple):
    """``values`` for JSON, among them the ``kind`` of layer, and planes of numbers, gzipped; empty without a map."""

    values: dict[str, Any]
    planes: bytes = b""


@singledispatch
def layer_of(result: Result) -> Layer:
    """The layer of a result; of a task that the page does not know the answer as JSON."""
    return Layer({"kind": "other", "summary": result.summary(), "answer": result.to_dict()})


@layer_of.register
def _(result: ClassResult) -> Layer:
    return Layer({"kind": "classes", "classes": [_colored(entry) for entry in result.entries]})


@layer_of.register
def _(result: DetectionResult) -> Layer:
    return Layer({"kind": "boxes", "boxes": [_colored(entry) for entry in result.entries]})


@layer_of.register
def _(result: SegmentResult) -> Layer:
    """Planes: labels (h, w), uint16, ``NONE`` where there is no class, then their confidence (h, w), 0 to 255."""
    labels = np.where(result.labels == result.ignore, NONE, result.labels)
    confidence = np.rint(255 * result.confidence.clip(0, 1))
    classes = [
        _colored({"class_id": label, "class_name": result.classes[label], "share": round(float(share), 6)})
        for label, share in result.present()
    ]
    planes = _planes(labels.astype("<u2"), confidence.astype(np.uint8))
    return Layer({"kind": "masks", "size": labels.shape, "classes": classes}, planes)


@layer_of.register
def _(result: DepthResult) -> Layer:
    """Planes: depth (h, w), uint16 in units of ``step`` metres, 0 where unknown, then its deviation in ``spread``.

    A row of depth is its first number and the differences that follow, modulo 65536: they compress to a third.
    """
    metres, deviation = (
        np.where(np.isfinite(values), values, 0).clip(0) for values in (result.metres, result.deviation)
    )
    step, spread = (max(float(values.max()), 1e-6) / most for values, most in ((metres, STEPS), (deviation, 255)))
    steps = np.rint(metres / step).clip(metres > 0)  # what is nearer than half a step is not unknown
    rows = np.diff(steps.astype(np.int32), axis=1, prepend=0)
    planes = _planes(rows.astype("<u2"), np.rint(deviation / spread).astype(np.uint8))
    return Layer({"kind": "depth", "size": metres.shape, "step": step, "spread": spread}, planes)


def _colored(entry: dict[str, Any]) -> dict[str, Any]:
    red, green, blue = class_color(entry["class_id"])
    return {**entry, "color": f"#{red:02x}{green:02x}{blue:02x}"}


def _planes(*planes: npt.NDArray[Any]) -> bytes:
    return gzip.compress(b"".join(plane.tobytes() for plane in planes), compresslevel=1, mtime=0)
