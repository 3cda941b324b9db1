"""What a ranking shows: an interval and a rank for each entry, equal for what cannot be told apart, and in words."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import numpy.typing as npt

from argus_arena.leaderboard.resampling import NoInterval, Resampled, resample_entry
from argus_arena.leaderboard.significance import (
    LEVEL,
    POWER,
    Pair,
    Scored,
    compare,
    holm,
    interval,
    least_p,
    seed_parts,
)
from argus_arena.leaderboard.standings import Standing
from argus_core.errors import counted

AGAIN = "`arena eval --run RUN` scores a head again and keeps them"


@dataclass(frozen=True)
class Placed:
    """One entry of a ranking: the interval of its score, and the ranks that it may have.

    ``rank`` is 1 and the entries that are shown to be better, ``last`` all entries but those shown to be worse;
    ``smallest`` is the difference to the best one (of the best, to the second) that these data can show.
    """

    low: float
    high: float
    rank: int
    last: int
    smallest: float | None


@dataclass(frozen=True)
class Verdict:
    """What a ranking shows by ``score``; ``placed`` and ``better`` are in the order of its entries.

    ``placed`` is None for an entry without an interval. ``better[a][b]`` is 1 where ``a`` is shown to be better, -1
    where it is shown to be worse, else 0. ``smallest`` is the difference that the ranking can show, None if none.
    """

    score: str
    placed: tuple[Placed | None, ...]
    better: tuple[tuple[int, ...], ...]
    smallest: float | None
    notes: tuple[str, ...]

    @property
    def known(self) -> bool:
        """Whether any entry has an interval."""
        return any(self.placed)

    def rank(self, place: int) -> int | None:
        """The rank of the entry at a place; without any interval in the ranking, the place itself, from 1."""
        placed = self.placed[place]
        return placed.rank if placed else None if self.known else place + 1


def judge(entries: Sequence[Standing], sort: str | None = None) -> Verdict:
    """What the rows of a ranking show, by ``sort`` if that is a score, else by the primary one."""
    first = entries[0].rows[0]
    score = sort if sort is not None and sort in first["metrics"] else entries[0].primary
    sign = 1 if first["higher_is_better"] else -1
    scored, seen, without = _scored(entries, score)
    samples = len(seen.keys) if seen else 0
    parts = dict(zip(scored, seed_parts(list(scored.values()), samples), strict=True))
    ordered = sorted(scored, key=lambda place: -sign * scored[place].mean)
    pairs = {(a, b): compare(scored[a], scored[b], (parts[a], parts[b]), samples) for a, b in combinations(ordered, 2)}
    better = _better(len(entries), pairs)
    smallest = _smallest(ordered, pairs, samples)
    placed = tuple(
        Placed(*interval(scored[n], parts[n]), 1 + better[n].count(-1), len(scored) - better[n].count(1), smallest[n])
        if n in scored
        else None
        for n in range(len(entries))
    )
    known = [value for value in smallest.values() if value is not None]
    verdict = Verdict(score, placed, tuple(map(tuple, better)), statistics.median(known) if known else None, ())
    words = _method(verdict, seen, len(pairs), any(one.freedom for one in scored.values())) if seen else []
    return replace(verdict, notes=(*words, *_one_seed(entries, ordered), *_without(entries, without)))


def _scored(entries: Sequence[Standing], score: str) -> tuple[dict[int, Scored], Resampled | None, dict[int, str]]:
    """The entries that can be resampled, by place, what they were scored on, and why the others cannot."""
    scored: dict[int, Scored] = {}
    without: dict[int, str] = {}
    seen: Resampled | None = None
    for place, entry in enumerate(entries):
        if entry.mean(score) is None:  # which is told already
            continue
        try:
            found, on = resample_entry(entry, score)
        except NoInterval as error:
            without[place] = str(error)
            continue
        seen = seen or on
        if on.keys == seen.keys:
            scored[place] = found
        else:
            without[place] = "it was not scored on the same images as the entries above"
    defined = _defined(scored)
    if scored and defined.mean() < 0.5:
        return {}, None, dict.fromkeys(scored, f"{score} is not defined on most resamples of so few images") | without
    return {place: Scored(one.scores, one.resampled[:, defined]) for place, one in scored.items()}, seen, without


def _defined(scored: dict[int, Scored]) -> npt.NDArray[np.bool_]:
    """The resamples on which every entry has a score."""
    each = [np.isfinite(one.resampled).all(axis=0) for one in scored.values()]
    return np.asarray(np.logical_and.reduce(each), dtype=np.bool_)


def _better(entries: int, pairs: Mapping[tuple[int, int], Pair]) -> list[list[int]]:
    """Whether each entry is shown to be better or worse than each other; the first of a pair has the better score."""
    better = [[0] * entries for _ in range(entries)]
    for (a, b), shown in zip(pairs, holm([pair.p for pair in pairs.values()]), strict=True):
        better[a][b], better[b][a] = int(shown), -int(shown)
    return better


def _smallest(ordered: Sequence[int], pairs: Mapping[tuple[int, int], Pair], samples: int) -> dict[int, float | None]:
    """Of each entry the smallest difference to the best that can be shown, of the best that to the second."""
    values: dict[int, float | None] = dict.fromkeys(ordered)
    alpha = (1 - LEVEL) / max(1, len(pairs))
    if len(ordered) < 2 or least_p(samples) > alpha:
        return values
    for place in ordered:
        pair = pairs[ordered[0], place if place != ordered[0] else ordered[1]]
        values[place] = pair.smallest(alpha) if pair.error else None
    return values


def _method(verdict: Verdict, seen: Resampled, pairs: int, seeds: bool) -> list[str]:
    """How intervals and ranks are to be read."""
    on, level, power = counted(len(seen.keys), seen.noun), _percent(LEVEL), _percent(POWER)
    ways = f"over {on} and the seeds" if seeds else f"over {on}"
    lines = [f"[low, high]: {level} interval of {verdict.score} {ways}"]
    if not pairs:
        return lines
    over = f"{level} over all {pairs} comparisons" if pairs > 1 else level
    lines.append(f"rank: 1 + the entries that are shown to be better ({over}); equal ranks cannot be told apart")
    if verdict.smallest is None:
        return [*lines, f"no difference between these entries can be shown on {on}"]
    on += " and these seeds" if seeds else ""
    return [*lines, f"the smallest difference that {on} can show: {verdict.smallest:.3g} ({power} power)"]


def _percent(share: float) -> str:
    return f"{share:.0%}".replace("%", " %")


def _one_seed(entries: Sequence[Standing], places: Sequence[int]) -> list[str]:
    """Whose ranks are of their weights alone."""
    single = [entries[place].name for place in places if len(entries[place].rows) == 1]
    if not single or len(places) < 2:
        return []
    whose = "each entry has" if len(single) == len(places) else f"{', '.join(single)}:"
    return [f"{whose} one seed: what is shown holds for these weights; another seed may end elsewhere"]


def _without(entries: Sequence[Standing], reasons: dict[int, str]) -> list[str]:
    """A line for each reason why entries have no interval."""
    lines = []
    for reason in dict.fromkeys(reasons.values()):
        names = dict.fromkeys(entries[place].name for place, why in reasons.items() if why == reason)
        lines.append(f"no interval for {', '.join(names)}: {reason}; {AGAIN}")
    return lines
