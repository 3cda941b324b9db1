"""Scores of rows over resamples of their images, the same resamples for all rows of as many images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from argus_arena.leaderboard.significance import Scored
from argus_arena.leaderboard.standings import Row, Standing
from argus_core.common.places import place
from argus_core.errors import ArgusError

if TYPE_CHECKING:  # the tasks need torch, which a board of older rows does not
    from argus_core.tasks import Counts

RESAMPLES = 1000
CELLS = 8_000_000
"""Counts that are drawn at once."""
AGREES = 1e-9
"""The largest difference between the score of a row and that of its contributions."""


class NoInterval(ArgusError):
    """Why an entry has no interval."""


@dataclass(frozen=True)
class Resampled:
    """A score of a row over resamples, (resamples,), nan where it is not defined; ``keys`` are of its samples."""

    keys: tuple[str, ...]
    noun: str
    values: npt.NDArray[np.float64]


def resamples(samples: int, number: int = RESAMPLES) -> Iterator[Counts]:
    """How often each of some samples is drawn, with replacement, in each resample: always the same for as many.

    Gives (some resamples, samples) at a time.
    """
    random, size = np.random.default_rng(0), max(1, CELLS // samples)
    for start in range(0, number, size):
        count = min(size, number - start)
        drawn = random.integers(0, samples, (count, samples)) + np.arange(count)[:, None] * samples
        yield np.bincount(drawn.ravel(), minlength=count * samples).reshape(count, samples).astype(np.int32)


def resample_row(row: Row, score: str) -> Resampled:
    """A score of a row over resamples; raises NoInterval, with the reason, where that cannot be had."""
    kept = row.get("contributions")
    if not kept or "path" not in row:
        raise NoInterval("its row keeps no contributions of images")
    try:
        found = _resample(str(place(row["path"]).with_name(kept["file"])), kept["sha256"], score)
    except NoInterval:
        raise
    except ArgusError as error:
        raise NoInterval(str(error)) from error
    own, whole = row["metrics"].get(score), found.values[0]
    if own is None or not abs(own - whole) <= AGREES * max(1.0, abs(own)):
        raise NoInterval(f"its contributions give {score} {whole:.6g}, its row says {own}")
    return Resampled(found.keys, found.noun, found.values[1:])


@lru_cache(maxsize=1024)
def _resample(path: str, sha256: str, score: str) -> Resampled:
    """The score of all samples, and after it those of the resamples."""
    from argus_core.saving.contributions import read_contributions

    metric, kept = read_contributions(place(path), sha256)
    rescore = metric.rescore(kept, score)
    if rescore is None:
        raise NoInterval(f"its metric does not resample {score}")
    noun = str(getattr(metric, "noun", "sample"))
    if len(kept) < 2:
        raise NoInterval(f"one {noun} cannot be resampled")
    whole = np.ones((1, len(kept)), dtype=np.int32)
    return Resampled(kept.keys, noun, np.concatenate([rescore(counts) for counts in (whole, *resamples(len(kept)))]))


def resample_entry(entry: Standing, score: str) -> tuple[Scored, Resampled]:
    """An entry with all its seeds, and what its first row was scored on; raises NoInterval where a seed has none."""
    rows = [resample_row(row, score) for row in entry.rows]
    if any(row.keys != rows[0].keys for row in rows):
        raise NoInterval("its seeds were not scored on the same images")
    scores = np.array([row["metrics"][score] for row in entry.rows], dtype=np.float64)
    return Scored(scores, np.stack([row.values for row in rows])), rows[0]
