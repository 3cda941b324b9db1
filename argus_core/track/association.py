"""Which boxes of a frame belong to which identities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from scipy.optimize import linear_sum_assignment
from torch import from_numpy
from torchvision.ops import box_iou

from argus_core.errors import ArgusError
from argus_core.track.identity import Identity, Seen
from argus_core.track.likeness import Likeness
from argus_core.track.motion import GATE, Array

Owners: TypeAlias = dict[int, Identity]
"""The identity of each box that has one."""
KNOWN, WEAK, NEW = 0.8, 0.5, 0.7
"""The cost that identities must stay below with a box; with one of a low score; if they were seen only once."""
LOOKS = 0.6
"""The weight of likeness beside overlap, of a box that nothing covers."""
ALIKE = 0.5
"""The likeness from which a box belongs to an identity that it does not overlap."""
CLEAR = 0.5
"""The share of a box that must be uncovered for its vector to tell whose it is."""


def overlapping(identities: Sequence[Identity], seen: Seen, places: Sequence[int], limit: float) -> Owners:
    """Assign boxes to identities by overlap alone; ``places`` are those boxes of a frame that may be taken."""
    return _owners(identities, places, assign(_apart(identities, seen, places), limit))


def recognised(identities: Sequence[Identity], seen: Seen, places: Sequence[int], likeness: Likeness) -> Owners:
    """Assign boxes to identities by overlap and likeness, from which ``likeness`` learns; without vectors by overlap.

    Far from where an identity is expected, as after it was hidden, likeness alone decides. Raises ArgusError for
    vectors of another length than before.
    """
    vectors = [identity.vector for identity in identities if identity.vector is not None]
    if seen.vectors is None or not places or not vectors or len(vectors) < len(identities):
        return overlapping(identities, seen, places, KNOWN)
    if vectors[0].shape != seen.vectors.shape[1:]:
        raise ArgusError(
            f"embeddings of {seen.vectors.shape[1]} numbers after those of {len(vectors[0])}: "
            "the frames of a film need vectors of one layer of one backbone"
        )
    apart, clear = _apart(identities, seen, places), seen.clear[places]
    distances = 1.0 - np.stack(vectors) @ seen.vectors[places].T
    alike = np.clip(likeness(distances), 0.0, 1.0)
    near = np.stack([identity.motion.distances(seen.boxes[places]) for identity in identities]) < GATE
    looks = LOOKS * clear
    cost = (1.0 - looks) * apart + looks * (1.0 - alike)
    cost[~((apart < KNOWN) | (near & (alike >= ALIKE) & (clear >= CLEAR)))] = np.inf
    pairs = assign(cost, KNOWN)
    sure = [(row, column) for row, column in pairs if apart[row, column] < KNOWN and clear[column] >= CLEAR]
    likeness.learn(distances, sure)
    return _owners(identities, places, pairs)


def assign(cost: Array, limit: float) -> list[tuple[int, int]]:
    """Pairs of a row and a column, each at most once, of the least total cost, where each one left alone costs half of
    ``limit``; so no pair costs as much as that.
    """
    gain = np.minimum(cost - limit, 0.0)
    rows, columns = linear_sum_assignment(gain)
    pairs = zip(rows.tolist(), columns.tolist(), strict=True)
    return [(row, column) for row, column in pairs if gain[row, column] < 0]


def overlaps(boxes: Array, others: Array) -> Array:
    """(N, M): intersection over union of boxes (N, 4) and (M, 4); 0 of two without area."""
    shared: Array = box_iou(from_numpy(boxes.reshape(-1, 4)), from_numpy(others.reshape(-1, 4))).numpy()
    return np.nan_to_num(shared)


def _apart(identities: Sequence[Identity], seen: Seen, places: Sequence[int]) -> Array:
    """(T, D): 1 - IoU of where each identity is expected and each box; infinite between classes."""
    expected = np.array([identity.motion.box for identity in identities])
    labels = np.array([identity.label for identity in identities], dtype=np.int64)
    return np.where(
        labels[:, None] == seen.labels[list(places)], 1.0 - overlaps(expected, seen.boxes[list(places)]), np.inf
    )


def _owners(identities: Sequence[Identity], places: Sequence[int], pairs: Sequence[tuple[int, int]]) -> Owners:
    return {places[column]: identities[row] for row, column in pairs}
