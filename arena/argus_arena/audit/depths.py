"""Depth maps that a regression solved without their image contradicts: of another scale, or of another shape."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from argus_arena.audit.labels import Ints
from argus_arena.audit.lessons import Annotated, predictions
from argus_arena.audit.outliers import deviations
from argus_core.nn import cell_means
from argus_core.tasks.depth import DepthMaps

Kind = Literal["another scale", "another shape"]
LEAST = 8
"""Cells of known depth of an image, and images, of which something can be said."""
DEVIATIONS = 3.5
"""Robust standard deviations from which on a map is doubtful (Iglewicz & Hoaglin 1993)."""
FACTOR = 1.5
"""Scales that are nearer to the expected one than this are no fault."""


@dataclass(frozen=True)
class DepthFault:
    """A doubtful map; ``factor`` is how many times as far it is as expected, ``agreement`` the correlation with that.

    ``score`` is the robust standard deviations from the median of all images.
    """

    number: int
    kind: Kind
    score: float
    factor: float
    agreement: float


def find_depth_faults(
    annotated: Annotated, groups: Ints, progress: Callable[[int], None] = lambda done: None
) -> list[DepthFault]:
    """The doubtful maps, the most doubtful first. Raises ArgusError where no regression can be solved."""
    rows: list[tuple[int, float, float]] = []
    for done, (number, canvas, placement) in enumerate(predictions(annotated, groups), 1):
        depth = annotated.task.target(annotated.truth(number), placement).depth
        if (compared := compare(depth, canvas)) is not None:
            rows.append((number, *compared))
        progress(done)
    return judged(rows)


def compare(depth: Tensor, expected: DepthMaps) -> tuple[float, float] | None:
    """The median ratio of depths (H, W; 0: unknown) to the expected ones, and the correlation of their logarithms."""
    means, share = cell_means(depth[None], depth[None] > 0, expected.stride)
    known = share[0] > 0.5
    if int(known.sum()) < LEAST:
        return None
    own, other = means[0][known].log().double(), expected.depth[known].log().double()
    both = torch.stack([own, other])
    varies = bool((both.std(dim=1) > 1e-6).all())
    return float((own - other).median().exp()), float(torch.corrcoef(both)[0, 1]) if varies else 0.0


def judged(rows: list[tuple[int, float, float]]) -> list[DepthFault]:
    """The faults among images with their ratio and correlation."""
    if len(rows) < LEAST:
        return []
    ratios, correlations = (torch.tensor([row[column] for row in rows]) for column in (1, 2))
    scale = deviations(ratios.log()).abs().tolist()
    shape = (-deviations(correlations.clamp(-0.999, 0.999).atanh())).tolist()  # Fisher's transformation
    found = []
    for (number, ratio, correlation), off, odd in zip(rows, scale, shape, strict=True):
        if off >= DEVIATIONS and abs(math.log(ratio)) >= math.log(FACTOR):
            found.append(DepthFault(number, "another scale", off, ratio, correlation))
        elif odd >= DEVIATIONS:
            found.append(DepthFault(number, "another shape", odd, ratio, correlation))
    return sorted(found, key=lambda one: (-one.score, one.number))
