"""Truth and predictions side by side, and where two heads differ, as pictures within the page."""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageDraw

from argus_arena.report_page.agreement import Mask, disagreement, matched
from argus_arena.report_page.look import Seen
from argus_core.draw import draw_boxes, draw_classes, draw_depth, draw_mask
from argus_core.draw.panel import resized, resized_map
from argus_core.errors import counted
from argus_core.tasks import Task
from argus_core.tasks.classify import Classify
from argus_core.tasks.depth import Depth, known_depth
from argus_core.tasks.detect import Boxes, Detect, Detections
from argus_core.tasks.segment import Segment

Pixels = npt.NDArray[np.uint8]
SIDE = 480
"""Pixels of an image's longer side at most; what is too small to be written on is enlarged where it is drawn."""
GREY = (150, 150, 150)


def predictions(seen: Seen) -> list[dict[str, Any]]:
    """For each image to show its key, and tiles of the truth and of every head."""
    return [
        {"key": seen.split.key(index), "tiles": [_truth(seen, index), *_answers(seen, index)]} for index in seen.shown
    ]


def disagreements(seen: Seen) -> dict[str, Any]:
    """Mean disagreement of every pair of heads, and the images on which two heads differ most with what each found."""
    pairs = list(combinations(seen.heads, 2))
    found = {
        (index, pair): disagreement(by_head[pair[0]], by_head[pair[1]])
        for index, by_head in seen.predictions.items()
        for pair in pairs
    }
    means = [[*pair, float(np.mean([found[index, pair] for index in seen.predictions]))] for pair in pairs]
    worst = {index: max(pairs, key=lambda pair: found[index, pair]) for index in seen.predictions} if pairs else {}
    order = sorted(worst, key=lambda index: -found[index, worst[index]])
    rows = [
        {"key": seen.split.key(index), "value": found[index, pair], "tiles": _differences(seen, index, pair)}
        for index, pair in ((index, worst[index]) for index in order[: len(seen.shown)])
        if found[index, pair] > 0
    ]
    return {"images": len(seen.predictions), "pairs": means, "rows": rows}


def _some(found: Detections, kept: Mask) -> Detections:
    mask = torch.from_numpy(kept)
    return Detections(found.boxes[mask], found.scores[mask], found.labels[mask])


def _truth(seen: Seen, index: int) -> dict[str, str]:
    image, truth, task = seen.split.read(index), seen.split.truth(index, seen.task.name), seen.task
    size = _size(image)
    if isinstance(task, Detect):
        boxes = Boxes(truth.boxes * (size[0] / image.shape[0]), truth.labels, truth.crowd, truth.area)
        note = counted(len(truth.labels), "object")
        return _tile("truth", note, draw_boxes(resized(image, size), boxes, task.classes))
    return _tile("truth", "", _painted(task, image, truth, size))


def _painted(task: Task, image: Pixels, truth: Any, size: tuple[int, int]) -> Pixels:
    """A truth as its task draws predictions; the image alone for tasks that are not known here."""
    small = resized(image, size)
    if isinstance(task, Segment):
        return draw_mask(small, resized_map(truth, size), task.classes, task.ignore, below=True)
    if isinstance(task, Depth):
        return draw_depth(resized_map(known_depth(truth), size), below=True)
    return draw_classes(small, [(task.classes[truth], 1.0)]) if isinstance(task, Classify) else small


def _answers(seen: Seen, index: int) -> list[dict[str, str]]:
    """A tile per head."""
    image = seen.split.read(index)
    by_head = seen.predictions[index]
    if not isinstance(seen.task, Detect):
        drawn = {name: seen.task.result(by_head[name], image).tile(_size(image)) for name in seen.heads}
        return [_tile(name, "", picture) for name, picture in drawn.items()]
    tiles = []
    for name in seen.heads:
        found = by_head[name]
        picture = _boxes(image, found, seen.task.classes)
        tiles.append(_tile(name, _hits(found, seen.split.truth(index, "detect")), picture))
    return tiles


def _hits(found: Detections, truth: Boxes) -> str:
    """How many objects that are no crowd were found, and how many boxes match none."""
    real = torch.from_numpy(truth.boxes[~truth.crowd]).float()
    known = Detections(real, torch.ones(len(real)), torch.from_numpy(truth.labels[~truth.crowd]))
    right = int(matched(found, known)[0].sum())
    return f"{right} of {len(real)} found, {len(found.boxes) - right} extra"


def _differences(seen: Seen, index: int, pair: tuple[str, str]) -> list[dict[str, str]]:
    """The truth, and for either head what it alone found over what both found, in grey."""
    image, classes = seen.split.read(index), getattr(seen.task, "classes")  # noqa: B009
    one, other = (seen.predictions[index][name] for name in pair)
    tiles = [_truth(seen, index)]
    for name, found, both in zip(pair, (one, other), matched(one, other), strict=True):
        alone = _some(found, ~both)
        note = f"alone: {_listed(alone, classes)}; with the other: {int(both.sum())}"
        tiles.append(_tile(name, note, _boxes(image, alone, classes, _some(found, both))))
    return tiles


def _listed(found: Detections, classes: Sequence[str]) -> str:
    counts = Counter(classes[label] for label in found.labels.tolist())
    return ", ".join(f"{number} {name}" for name, number in counts.most_common()) or "nothing"


def _boxes(image: Pixels, found: Detections, classes: Sequence[str], shared: Detections | None = None) -> Pixels:
    """Named boxes on a resized image, over those of ``shared`` in grey."""
    size = _size(image)
    scale = size[0] / image.shape[0]
    canvas = Image.fromarray(resized(image, size))
    for box in (shared.boxes * scale).tolist() if shared is not None else []:
        ImageDraw.Draw(canvas).rectangle(box, outline=GREY, width=2)
    return draw_boxes(np.asarray(canvas), Detections(found.boxes * scale, found.scores, found.labels), classes)


def _size(image: Pixels) -> tuple[int, int]:
    """Height and width of an image in a tile."""
    scale = min(1.0, SIDE / max(image.shape[:2]))
    return max(1, round(image.shape[0] * scale)), max(1, round(image.shape[1] * scale))


def _tile(title: str, note: str, picture: Pixels) -> dict[str, str]:
    out = io.BytesIO()
    Image.fromarray(picture).save(out, format="JPEG", quality=82)
    return {"title": title, "note": note, "src": f"data:image/jpeg;base64,{base64.b64encode(out.getvalue()).decode()}"}
