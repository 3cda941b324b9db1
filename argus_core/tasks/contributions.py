"""What every sample adds to the scores of a metric, from which they are computed anew over any choice of samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from argus_core.errors import ArgusError

Array = npt.NDArray[Any]
Counts = npt.NDArray[np.integer[Any]]
"""How often each sample is chosen: a line per choice, a column per sample in the order of the keys."""
Scores = npt.NDArray[np.float64]
Rescore = Callable[[Counts], Scores]
"""One score over each choice of samples, nan where it is not defined."""


@dataclass(frozen=True)
class Contributions:
    """Arrays by name, whose first axis is samples in the order of ``keys``, or items of one sample after another.

    So those of some samples and of others are joined by concatenation. ``keys`` are sorted, as in a metric.
    """

    keys: tuple[str, ...]
    arrays: Mapping[str, Array]

    def __len__(self) -> int:
        return len(self.keys)


def join_contributions(parts: Sequence[Contributions]) -> Contributions:
    """The samples of several parts, one part after another; raises ArgusError for parts of different metrics."""
    names = list(parts[0].arrays)
    if any(list(part.arrays) != names for part in parts):
        raise ArgusError(
            f"contributions of different metrics cannot be joined: {[list(part.arrays) for part in parts]}"
        )
    arrays = {name: np.concatenate([part.arrays[name] for part in parts]) for name in names}
    return Contributions(tuple(key for part in parts for key in part.keys), arrays)


def shares(parts: Array, wholes: Array) -> Rescore:
    """The sum of ``parts`` over the sum of ``wholes``, one number per sample each."""

    def rescore(counts: Counts) -> Scores:
        weights = counts.astype(np.float64)
        return ratio(weights @ parts.astype(np.float64), weights @ wholes.astype(np.float64))

    return rescore


def ratio(parts: Array, wholes: Array) -> Scores:
    """Element-wise shares; nan where the whole is 0."""
    return np.divide(parts, wholes, out=np.full(np.shape(parts), np.nan), where=wholes > 0)


def mean_defined(values: Scores) -> Scores:
    """The mean over the last axis of the values that are not nan; nan without any."""
    defined = ~np.isnan(values)
    return ratio(np.where(defined, values, 0).sum(-1), defined.sum(-1))


def item_owners(sizes: Array) -> npt.NDArray[np.int64]:
    """The sample of each item, where sample ``i`` has ``sizes[i]`` items."""
    return np.repeat(np.arange(len(sizes)), sizes)
