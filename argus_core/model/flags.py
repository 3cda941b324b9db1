"""Detections that a mask of the same image contradicts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from argus_core.errors import counted
from argus_core.tasks import Result
from argus_core.tasks.detect import DetectionResult
from argus_core.tasks.segment import SegmentResult

SUPPORT = 0.1
"""The share of a box that masks of its class must fill at least."""


class Flag(NamedTuple):
    """A detection that another head doubts: number ``detection`` of the result of ``head``.

    ``support`` is the share of its box (0 to 1) that ``masks``, the head that doubts, gives the class of the box, and
    ``seen`` the class that it gives the largest share of the box.
    """

    head: str
    detection: int
    masks: str
    support: float
    seen: str

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**self._asdict(), "support": round(self.support, 4)}


def find_flags(results: Mapping[str, Result], support: float = SUPPORT) -> list[Flag]:
    """Detections whose box holds less than ``support`` of a mask of their class, for each pair of such heads.

    Classes are the same if their names are, but for case and underscores; a detection of a class that has no masks is
    never flagged. Masks may be smaller or larger than the image. ``docs/outputs.md`` has what a flag is worth.
    """
    return [
        flag
        for head, boxes in results.items()
        for masks, mask in results.items()
        if isinstance(boxes, DetectionResult) and isinstance(mask, SegmentResult)
        for flag in _flags(head, boxes, masks, mask, support)
    ]


def flag_summary(flags: Sequence[Flag]) -> str:
    """How many detections are flagged."""
    return f"{counted(len(flags), 'detection')} without a mask of the same class"


def _flags(head: str, boxes: DetectionResult, masks: str, mask: SegmentResult, support: float) -> Iterator[Flag]:
    places = {_plain(name): place for place, name in enumerate(mask.classes)}
    own = [places.get(_plain(name)) for name in boxes.classes]
    down, across = (mine / whole for mine, whole in zip(mask.labels.shape, boxes.image.shape, strict=False))
    for number, ((x1, y1, x2, y2), label) in enumerate(
        zip(boxes.detections.boxes.tolist(), boxes.detections.labels.tolist(), strict=True)
    ):
        if (wanted := own[label]) is None:
            continue
        inside = pixels_in(mask.labels, (x1 * across, y1 * down, x2 * across, y2 * down))
        claimed = inside != mask.ignore
        share = np.count_nonzero(inside == wanted) / max(inside.size, 1)
        if share < support and claimed.any():
            seen = mask.classes[int(np.bincount(inside[claimed]).argmax())]
            yield Flag(head, number, masks, share, seen)


def pixels_in(labels: npt.NDArray[np.int64], box: Sequence[float]) -> npt.NDArray[np.int64]:
    """The labels (N,) of the pixels in a box x1, y1, x2, y2, at least one where the box touches the image."""
    left, top, right, bottom = (round(value) for value in box)
    rows, columns = slice(max(top, 0), max(bottom, top + 1, 0)), slice(max(left, 0), max(right, left + 1, 0))
    return labels[rows, columns].ravel()


def _plain(name: str) -> str:
    return name.casefold().replace("_", " ").strip()
