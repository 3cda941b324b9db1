"""Boxes that a detector solved without their image contradicts: missing, needless or misplaced ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import box_iou

from argus_arena.audit.labels import Ints
from argus_arena.audit.lessons import Annotated, predictions
from argus_core.tasks.detect import Boxes, Detections

Fault = Literal["missing", "needless", "misplaced"]
MATCH, APART = 0.5, 0.3
"""Overlap from which on a detection supports a box, and below which it lies where nothing is annotated."""
NEAR = 0.1
"""Overlap from which on a detection is where a misplaced box should be."""
WEAK = 0.25
"""Share of the usual support of the boxes of a class below which one is doubtful."""


@dataclass(frozen=True)
class BoxFault:
    """A doubtful box of image ``number``: its ``row`` among the annotated ones, -1 of one that is missing.

    ``box`` is what the detector proposes (x1, y1, x2, y2, image pixels; None for a needless box) and ``label`` its
    class. ``score`` is 0 to 1.
    """

    number: int
    row: int
    fault: Fault
    label: int
    score: float
    box: tuple[float, float, float, float] | None = None


@dataclass
class Support:
    """How far detections support each annotated box, and what they find where none is, of all images."""

    boxes: list[tuple[int, int, int, float, BoxFault | None]] = field(default_factory=list)
    """Number of the image, row, class and support of each box, and where it may belong instead."""
    free: list[BoxFault] = field(default_factory=list)

    def usual(self) -> dict[int, float]:
        """The median support by class."""
        by_class: dict[int, list[float]] = {}
        for _, _, label, support, _ in self.boxes:
            by_class.setdefault(label, []).append(support)
        return {label: float(np.median(values)) for label, values in by_class.items()}


def find_box_faults(
    annotated: Annotated, groups: Ints, progress: Callable[[int], None] = lambda done: None
) -> list[BoxFault]:
    """Doubtful boxes, the most doubtful of each kind first (as in ObjectLab, Tkachenko 2023).

    A box is missing where a detection is as sure as the typical annotated object of its class is, and no box is near.
    Raises ArgusError where no detector can be solved.
    """
    support = Support()
    for done, (number, canvas, placement) in enumerate(predictions(annotated, groups), 1):
        found: Detections = annotated.task.merge([canvas], [placement])
        examine(number, annotated.truth(number), found, support)
        progress(done)
    return judged(support)


def examine(number: int, truth: Boxes, found: Detections, support: Support) -> None:
    """Add the boxes of an image, and the detections where none is, to ``support``."""
    kept = np.flatnonzero(~truth.ignored).tolist()
    corners = torch.from_numpy(truth.boxes).float().view(-1, 4)
    overlap = (
        box_iou(corners, found.boxes)
        if len(corners) and len(found.boxes)
        else torch.zeros(len(corners), len(found.boxes))
    )
    nearest = overlap.amax(dim=0) if len(corners) else torch.zeros(len(found.boxes))
    for row in kept:
        label = int(truth.labels[row])
        same = found.labels == label
        own = (found.scores * (overlap[row] >= MATCH) * same).tolist()
        others = _largest(overlap, row)
        moved = same & (overlap[row] >= NEAR) & (overlap[row] < MATCH) & (others < MATCH)
        support.boxes.append((number, row, label, max(own, default=0.0), _moved(number, row, found, moved)))
    free = (nearest < APART).nonzero()[:, 0].tolist()
    support.free += [_proposed(number, -1, "missing", found, place) for place in _apart(found, free)]


def _largest(overlap: Tensor, row: int) -> Tensor:
    """(D,) the overlap of each detection with the nearest box other than ``row``."""
    others = torch.cat([overlap[:row], overlap[row + 1 :]])
    return others.amax(dim=0) if len(others) else torch.zeros(overlap.shape[1])


def _moved(number: int, row: int, found: Detections, where: Tensor) -> BoxFault | None:
    """The surest of the detections that are near a box and belong to no other."""
    places = where.nonzero()[:, 0]
    if not len(places):
        return None
    return _proposed(number, row, "misplaced", found, int(places[found.scores[places].argmax()]))


def _apart(found: Detections, places: list[int]) -> list[int]:
    """Those detections, best first, that overlap no better one of them by ``APART``, whatever its class."""
    kept: list[int] = []
    for place in places:
        if not kept or float(box_iou(found.boxes[place][None], found.boxes[kept]).max()) < APART:
            kept.append(place)
    return kept


def _proposed(number: int, row: int, fault: Fault, found: Detections, place: int) -> BoxFault:
    x1, y1, x2, y2 = found.boxes[place].tolist()
    return BoxFault(number, row, fault, int(found.labels[place]), float(found.scores[place]), (x1, y1, x2, y2))


def judged(support: Support) -> list[BoxFault]:
    """The faults among what was examined, the most doubtful of each kind first."""
    usual = support.usual()
    missing = [one for one in support.free if one.score >= usual.get(one.label, 1.0) > 0]
    boxes: list[BoxFault] = []
    for number, row, label, value, moved in support.boxes:
        typical = usual[label]
        if value >= WEAK * typical:
            continue
        if moved is not None and moved.score >= typical / 2:
            boxes.append(moved)
        else:
            boxes.append(BoxFault(number, row, "needless", label, 1 - value / max(typical, 1e-6)))
    return sorted([*missing, *boxes], key=lambda one: (one.fault, -one.score, one.number, one.row))
