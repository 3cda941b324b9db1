"""How far the detections of two heads agree."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment
from torchvision.ops import box_iou

from argus_core.tasks.detect import Detections

IOU = 0.5
Mask = npt.NDArray[np.bool_]


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
