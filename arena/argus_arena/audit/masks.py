"""Regions of masks that a segmenter solved without their image gives another class."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from argus_arena.audit.labels import Ints
from argus_arena.audit.lessons import Annotated, predictions
from argus_core.canvas import Placement
from argus_core.nn import cell_counts
from argus_core.tasks.segment import ClassMaps

PURE = 0.9
"""Share of a cell's pixels that must have one class: borders, where a cell shows both, say nothing."""
LEAST = 3
"""Cells of a region, at least."""
AROUND = np.ones((3, 3), dtype=bool)
Corners = tuple[float, float, float, float]


@dataclass(frozen=True)
class MaskFault:
    """A region of image ``number`` whose ``given`` class the segmenter takes for the ``suggested`` one.

    ``score`` is its ``share`` of the image times the mean difference of both probabilities; ``probability`` is the mean
    one of the suggested class. ``box`` holds it (x1, y1, x2, y2, image pixels), ``cells`` are boxes alike.
    """

    number: int
    given: int
    suggested: int
    score: float
    share: float
    probability: float
    box: Corners
    cells: list[Corners]


@dataclass(frozen=True)
class _Cells:
    """By cell (h, w): the given class, -1 where there is none, the predicted one, and the probabilities of both."""

    given: Tensor
    suggested: Tensor
    own: Tensor
    other: Tensor
    total: int
    stride: int


def find_mask_faults(
    annotated: Annotated, groups: Ints, progress: Callable[[int], None] = lambda done: None
) -> list[MaskFault]:
    """Doubtful regions, the largest and surest first. Raises ArgusError where no segmenter can be solved.

    A cell counts where the suggested class is at least as probable as it is, on average, where it is given (confident
    learning, Northcutt 2021).
    """
    regions: list[MaskFault] = []
    usual = _Usual(len(annotated.classes))
    for done, (number, canvas, placement) in enumerate(predictions(annotated, groups), 1):
        cells = _cells(annotated, number, canvas, placement)
        usual.add(cells)
        regions += _regions(number, cells, placement)
        progress(done)
    typical = usual.means()
    found = [one for one in regions if one.probability >= typical[one.suggested]]
    return sorted(found, key=lambda one: (-one.score, one.number))


class _Usual:
    """The mean probability of each class over the cells where it is given."""

    def __init__(self, classes: int) -> None:
        self.total, self.count = torch.zeros(classes), torch.zeros(classes)

    def add(self, cells: _Cells) -> None:
        """Count the labelled cells of an image."""
        labels, own = cells.given[cells.given >= 0], cells.own[cells.given >= 0]
        self.total += torch.bincount(labels, own, len(self.total))
        self.count += torch.bincount(labels, minlength=len(self.count))

    def means(self) -> list[float]:
        """By class; 1 of one that is nowhere given."""
        return torch.where(self.count > 0, self.total / self.count.clamp(min=1), 1.0).tolist()


def _cells(annotated: Annotated, number: int, canvas: ClassMaps, placement: Placement) -> _Cells:
    labels = annotated.task.target(annotated.truth(number), placement).labels[None]
    counts = cell_counts(labels, len(canvas.logits), canvas.stride)[0].float()  # (h, w, K)
    probabilities = canvas.logits.float().softmax(dim=0)
    share, given = (counts / canvas.stride**2).max(dim=2)
    other, suggested = probabilities.max(dim=0)
    own = probabilities.gather(0, given[None])[0]
    total = int((counts.sum(dim=2) > 0).sum())
    return _Cells(torch.where(share >= PURE, given, -1), suggested, own, other, total, canvas.stride)


def _regions(number: int, cells: _Cells, placement: Placement) -> Iterator[MaskFault]:
    """The connected cells of one given and one other suggested class."""
    differs = (cells.given >= 0) & (cells.given != cells.suggested)
    pairs = torch.stack([cells.given, cells.suggested], dim=-1)[differs].unique(dim=0).tolist()
    for given, suggested in pairs:
        mask = (differs & (cells.given == given) & (cells.suggested == suggested)).numpy()
        labels, count = ndimage.label(mask, AROUND)
        for region in range(1, count + 1):
            rows, columns = np.nonzero(labels == region)
            if len(rows) >= LEAST:
                share = len(rows) / max(1, cells.total)
                score = share * float((cells.other - cells.own)[rows, columns].mean())
                probability = float(cells.other[rows, columns].mean())
                yield MaskFault(
                    number, given, suggested, score, share, probability, *_placed(rows, columns, cells, placement)
                )


def _placed(rows: Ints, columns: Ints, cells: _Cells, placement: Placement) -> tuple[Corners, list[Corners]]:
    """The box that holds some cells, and the box of each, in image pixels."""
    places = np.stack([columns, rows, columns + 1, rows + 1], axis=1) * float(cells.stride)
    boxes = placement.boxes_to_image(places)
    x1, y1 = boxes[:, :2].min(axis=0).tolist()
    x2, y2 = boxes[:, 2:].max(axis=0).tolist()
    return (x1, y1, x2, y2), [(a, b, c, d) for a, b, c, d in boxes.tolist()]
