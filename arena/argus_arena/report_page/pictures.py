"""Truth and predictions side by side, and where two heads differ, as pictures within the page."""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageDraw
from scipy.optimize import linear_sum_assignment
from torchvision.ops import box_iou

from argus_arena.report_page.look import Predictions
from argus_core.draw import draw_boxes, draw_classes, draw_depth, draw_mask
from argus_core.draw.panel import resized, resized_map
from argus_core.errors import counted
from argus_core.tasks import Task
from argus_core.tasks.classify import Classify
from argus_core.tasks.depth import Depth, known_depth
from argus_core.tasks.detect import Boxes, Detect, Detections
from argus_core.tasks.segment import Segment

Pixels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
IOU = 0.5
"""Overlap from which on two boxes are of one object."""
SIDE = 480
"""Pixels of an image's longer side at most; what is too small to be written on is enlarged where it is drawn."""
GREY = (150, 150, 150)


def predictions(results: Predictions) -> list[dict[str, Any]]:
    """For each image to show its key, and tiles of the truth and of every head."""
    return [
        {"key": results.split.key(index), "tiles": [_truth(results, index), *_answers(results, index)]}
        for index in results.shown
    ]


def disagreements(results: Predictions) -> dict[str, Any]:
    """Mean disagreement of every pair of heads, and the images on which two heads differ most with what each found."""
    pairs = list(combinations(results.heads, 2))
    values = {
        (index, pair): disagreement(by_head[pair[0]], by_head[pair[1]])
        for index, by_head in results.predictions.items()
        for pair in pairs
    }
    means = [[*pair, float(np.mean([values[index, pair] for index in results.predictions]))] for pair in pairs]
    worst = {index: max(pairs, key=lambda pair: values[index, pair]) for index in results.predictions} if pairs else {}
    order = sorted(worst, key=lambda index: -values[index, worst[index]])
    rows = [
        {"key": results.split.key(index), "value": values[index, pair], "tiles": _differences(results, index, pair)}
        for index, pair in ((index, worst[index]) for index in order[: len(results.shown)])
        if values[index, pair] > 0
    ]
    return {"images": len(results.predictions), "pairs": means, "rows": rows}


def matched(one: Detections, other: Detections) -> tuple[Mask, Mask]:
    """Which boxes of each have a partner in the other: same class and IoU of at least 0.5, one to one.

    Of all pairings the one with most pairs, and among those with most overlap; the same whichever comes first.
    """
    overlap = box_iou(one.boxes, other.boxes).double().numpy()
    fits = (one.labels[:, None] == other.labels).numpy() & (overlap >= IOU)
    rows, columns = linear_sum_assignment(fits * (len(one.boxes) + overlap), maximize=True)
    kept = fits[rows, columns]
    left, right = np.zeros(len(one.boxes), dtype=bool), np.zeros(len(other.boxes), dtype=bool)
    left[rows[kept]], right[columns[kept]] = True, True
    return left, right


def disagreement(one: Detections, other: Detections) -> float:
    """1 - F1 of one head's boxes taken as the truth of the other's: 0 where all match, 1 where none does."""
    total = len(one.boxes) + len(other.boxes)
    return 1 - 2 * int(matched(one, other)[0].sum()) / total if total else 0.0


def _some(detections: Detections, kept: Mask) -> Detections:
    mask = torch.from_numpy(kept)
    return Detections(detections.boxes[mask], detections.scores[mask], detections.labels[mask])


def _truth(results: Predictions, index: int) -> dict[str, str]:
    image, truth, task = results.split.read(index), results.split.truth(index, results.task.name), results.task
    size = _size(image)
    if isinstance(task, Detect):
        boxes = replace(truth, boxes=truth.boxes * (size[0] / image.shape[0]))
        note = counted(len(truth.labels), "object")
        return tile("truth", note, draw_boxes(resized(image, size), boxes, task.classes))
    return tile("truth", "", _painted(task, image, truth, size))


def _painted(task: Task, image: Pixels, truth: Any, size: tuple[int, int]) -> Pixels:
    """A truth as its task draws predictions; the image alone for tasks that are not known here."""
    small = resized(image, size)
    if isinstance(task, Segment):
        return draw_mask(small, resized_map(truth, size), task.classes, task.ignore, below=True)
    if isinstance(task, Depth):
        return draw_depth(resized_map(known_depth(truth), size), below=True)
    return draw_classes(small, [(task.classes[truth], 1.0)]) if isinstance(task, Classify) else small


def _answers(results: Predictions, index: int) -> list[dict[str, str]]:
    """A tile per head."""
    image = results.split.read(index)
    by_head = results.predictions[index]
    if not isinstance(results.task, Detect):
        drawn = {name: results.task.result(by_head[name], image).tile(_size(image)) for name in results.heads}
        return [tile(name, "", picture) for name, picture in drawn.items()]
    tiles = []
    for name in results.heads:
        detections = by_head[name]
        picture = _boxes(image, detections, results.task.classes)
        tiles.append(tile(name, _hits(detections, results.split.truth(index, "detect")), picture))
    return tiles


def _hits(detections: Detections, truth: Boxes) -> str:
    """How many objects that need to be found were, and how many boxes match none, nor a difficult one."""
    needed, difficult = (_objects(truth, kept) for kept in (~truth.ignored, truth.difficult))
    right = matched(detections, needed)[0]
    others = _some(detections, ~right)
    extra = len(others.boxes) - int(matched(others, difficult)[0].sum())
    return f"{int(right.sum())} of {len(needed.boxes)} found, {extra} extra"


def _objects(truth: Boxes, kept: Mask) -> Detections:
    """Some annotated boxes as certain detections."""
    boxes = torch.from_numpy(truth.boxes[kept]).float()
    return Detections(boxes, torch.ones(len(boxes)), torch.from_numpy(truth.labels[kept]))


def _differences(results: Predictions, index: int, pair: tuple[str, str]) -> list[dict[str, str]]:
    """The truth, and for either head what it alone found over what both found, in grey."""
    image, classes = results.split.read(index), getattr(results.task, "classes")  # noqa: B009
    one, other = (results.predictions[index][name] for name in pair)
    tiles = [_truth(results, index)]
    for name, detections, both in zip(pair, (one, other), matched(one, other), strict=True):
        alone = _some(detections, ~both)
        note = f"alone: {_listed(alone, classes)}; with the other: {int(both.sum())}"
        tiles.append(tile(name, note, _boxes(image, alone, classes, _some(detections, both))))
    return tiles


def _listed(detections: Detections, classes: Sequence[str]) -> str:
    counts = Counter(classes[label] for label in detections.labels.tolist())
    return ", ".join(f"{number} {name}" for name, number in counts.most_common()) or "nothing"


def _boxes(image: Pixels, detections: Detections, classes: Sequence[str], shared: Detections | None = None) -> Pixels:
    """Named boxes on a resized image, over those of ``shared`` in grey."""
    size = _size(image)
    scale = size[0] / image.shape[0]
    canvas = Image.fromarray(resized(image, size))
    for box in (shared.boxes * scale).tolist() if shared is not None else []:
        ImageDraw.Draw(canvas).rectangle(box, outline=GREY, width=2)
    return draw_boxes(
        np.asarray(canvas), Detections(detections.boxes * scale, detections.scores, detections.labels), classes
    )


def _size(image: Pixels) -> tuple[int, int]:
    """Height and width of an image in a tile."""
    scale = min(1.0, SIDE / max(image.shape[:2]))
    return max(1, round(image.shape[0] * scale)), max(1, round(image.shape[1] * scale))


def tile(title: str, note: str, picture: Pixels) -> dict[str, str]:
    """A picture with its title, as the page shows it."""
    out = io.BytesIO()
    Image.fromarray(picture).save(out, format="JPEG", quality=82)
    return {"title": title, "note": note, "src": f"data:image/jpeg;base64,{base64.b64encode(out.getvalue()).decode()}"}
