"""An Argus with heads of every task, none of whose parameters is where it started, for the tests of saving."""

from __future__ import annotations

import json

import numpy as np
import torch
import torch.nn.functional as F

from argus_core.argus import Argus
from argus_core.canvas import Canvas
from argus_core.nn import ClassText
from argus_core.nn.class_text import stand_in
from argus_core.saving.build import build_head
from argus_core.tasks import Calibration
from argus_core.tasks.classify import Classify
from argus_core.tasks.correspond import Correspond
from argus_core.tasks.depth import Depth, DepthResult
from argus_core.tasks.detect import Detect
from argus_core.tasks.segment import Segment

KINDS = Classify(classes=("cat", "dog", "Ж"))
THINGS = Detect(classes=("cat", "traffic light"))
SQUARE, WIDE = Canvas(96), Canvas(64, 96, "stretch", "bicubic")
HEADS = {
    "softmax": ("classify.linear", KINDS, {}, SQUARE),
    "protos": ("classify.prototypes", KINDS, {}, SQUARE),
    "knn": ("classify.knn", KINDS, {"k": 3, "neighbours": 5}, SQUARE),
    "masks": ("segment.linear", Segment(classes=("x", "y")), {"layers": [5, -1]}, WIDE),
    "metres": ("depth.linear", Depth(high=20), {"bins": 16}, SQUARE),
    "boxes": ("detect.fcos", THINGS, {"width": 16, "depth": 1}, SQUARE),
    "towers": ("detect.split_tower", THINGS, {"width": 16, "convs": 1, "residuals": 1, "text_dim": 24}, WIDE),
    "match": ("correspond.match", Correspond(), {"size": 96}, SQUARE),
}

CALIBRATED = ("softmax", "masks", "boxes")


def shaken(module):
    """The module with every parameter moved off its start."""
    with torch.no_grad():
        for value in module.parameters():
            value.add_(torch.randn_like(value) * 0.1)
    return module


def make_head(info, name, text=None):
    """One of ``HEADS``; the split tower gets its class vectors from the file ``text``."""
    kind, task, options, canvas = HEADS[name]
    head = build_head(kind, info, task, options | ({"text": str(text)} if text and name == "towers" else {}))
    head.canvas = canvas
    if name in CALIBRATED:
        head.calibration = Calibration(1.7, -0.4)
    if name == "protos":
        head.prototypes.copy_(F.normalize(torch.randn_like(head.prototypes)))
    elif name == "knn":
        head.bank = F.normalize(torch.randn(7, head.bank.shape[1])).half()
        head.labels = torch.arange(7) % 3
    return shaken(head)


def make_argus(backbone, folder, names=tuple(HEADS)):
    """An Argus whose heads see two canvases; the file of class vectors is gone when it is done."""
    torch.manual_seed(0)
    folder.mkdir(parents=True, exist_ok=True)
    text = folder / "text.safetensors"
    ClassText(THINGS.classes, stand_in(2, 24) * -1, "a model", ("a {}",)).save(text)
    argus = Argus(backbone, {name: make_head(backbone.info, name, text) for name in names})
    text.unlink()
    return argus


def pictures():
    """Two images, neither square nor of sizes that divide by anything."""
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (*size, 3), dtype=np.uint8) for size in ((61, 140), (90, 50))]


def answers(argus):
    """What every head says about the pictures, as JSON text: equal texts are equal bits."""
    images = pictures()
    found = argus.perceive(images)
    said = [one.to_dict() for one in found]
    for one in said:
        one.pop("timings_ms")
    maps = [result for one in found for result in one.results.values() if isinstance(result, DepthResult)]
    said += [result.metres.tobytes().hex() for result in maps]
    if "match" in argus.heads:
        said.append(argus.correspond(*images, [[10, 10], [70.5, 33]]).to_dict())
    return json.dumps(said)
