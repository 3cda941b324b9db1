"""An audit from opened caches to what was found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from argus_arena.audit.copies import Copies, find_copies, groups
from argus_arena.audit.coverage import Coverage, find_coverage
from argus_arena.audit.findings import FINDERS, TaskFindings, find_doubtful
from argus_arena.audit.labels import Ints
from argus_arena.audit.layout import Points, lay_out
from argus_arena.audit.opened import Opened
from argus_arena.audit.outliers import Outlier, find_outliers
from argus_arena.audit.vectors import find_neighbours, read_vectors
from argus_core.common.progress import ProgressBar
from argus_core.errors import ArgusError, unknown

NEAREST = 10
"""Neighbours of each image that are looked for."""
MAPPED = 5000
"""Images on the map; of more, as many at even distances."""


@dataclass(frozen=True)
class Audit:
    """All that was found; images are named by their number in ``opened``.

    ``groups`` (N,) tell which images are copies of each other; ``points`` (M, 2) are the places of images ``mapped`` on
    the map, from 0 to 1.
    """

    opened: Opened
    copies: Copies
    groups: Ints
    labels: Sequence[TaskFindings]
    outliers: Sequence[Outlier]
    coverage: Sequence[Coverage]
    mapped: Ints
    points: Points
    notes: list[str] = field(default_factory=list)


def audit(opened: Opened, tasks: Sequence[str] = ()) -> Audit:
    """Look for all faults; ``tasks`` are those whose annotations are judged, by default all that the data have.

    Raises ArgusError for a single image, and for a task that nothing is annotated for.
    """
    if len(opened) < 2:
        raise ArgusError("the caches hold one image, which nothing can be compared with; cache more of them")
    with ProgressBar("tokens", len(opened)) as bar:
        vectors = read_vectors(opened, bar.update)
        unit = vectors.unit
        neighbours = find_neighbours(unit, NEAREST)
        bar.stage("copies", unit="pairs")
        copies = find_copies(opened, vectors, neighbours, lambda done, total: bar.update(done, total=total))
        own = groups(copies.pairs, len(opened))
        labels = [
            find_doubtful(opened, vectors, own, task, lambda what, done, total: _show(bar, what, done, total))
            for task in _tasks(opened, tasks)
        ]
    mapped = np.linspace(0, len(opened) - 1, min(MAPPED, len(opened))).round().astype(np.int64)
    coverage = find_coverage(unit, opened.places[:, 0])
    points = lay_out(unit[mapped])
    notes = [*opened.notes, *_limits(opened)]
    return Audit(opened, copies, own, labels, find_outliers(vectors, neighbours), coverage, mapped, points, notes)


def _show(bar: ProgressBar, what: str, done: int, total: int) -> None:
    if bar.what != what:
        bar.stage(what, total)
    bar.update(done)


def _tasks(opened: Opened, wanted: Sequence[str]) -> list[str]:
    """The tasks whose annotations are judged."""
    found = list(dict.fromkeys(task for part in opened.parts if part.split for task in part.split.tasks))
    for name in wanted:
        if name not in FINDERS:
            raise unknown("task whose annotations can be judged", name, FINDERS)
        if name not in found:
            raise ArgusError(f"nothing is annotated for {name}; the data have {', '.join(found) or 'no annotations'}")
    return list(wanted) or found


def _limits(opened: Opened) -> list[str]:
    """What the caches leave out of an audit."""
    notes = []
    if not opened.maps:
        notes.append(
            "the caches hold no maps: copies are told by one vector an image, which misses many, and only labels of "
            "whole images are judged; cache without --no-maps"
        )
    if skipped := sum(len(part.cache.skipped) for part in opened.parts):
        notes.append(f"{skipped} images have no tokens, as they could not be read when they were cached")
    return notes
