"""Which samples are scored together, which images are read for them, and whose predictions are kept for later ones."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

Samples = tuple[tuple[int, tuple[int, ...]], ...]
"""Number and images of each sample."""
KEPT = 256
"""Images whose predictions are kept for later samples, as images of many pairs are."""


@dataclass(frozen=True)
class Chunk:
    """Samples that are scored together, the images to predict for them, and those whose predictions stay after it."""

    samples: Samples
    missing: list[int]
    kept: list[int]


def chunks(samples: Samples, size: int) -> Iterator[Chunk]:
    """The samples, ``size`` at a time; after each chunk at most ``KEPT`` images are kept, those needed the soonest."""
    places: dict[int, list[int]] = defaultdict(list)
    for place, (_, images) in enumerate(samples):
        for index in images:
            places[index].append(place)
    kept: list[int] = []
    for start in range(0, len(samples), size):
        part = samples[start : start + size]
        known = dict.fromkeys(kept)
        wanted = known | dict.fromkeys(index for _, images in part for index in images)
        kept = _soonest(wanted, places, start + size)
        yield Chunk(part, [index for index in wanted if index not in known], kept)


def _soonest(images: Iterable[int], places: Mapping[int, Sequence[int]], place: int) -> list[int]:
    """Of some images those that samples from ``place`` on need the soonest; ``places`` are ascending."""
    needed = []
    for index in images:
        coming = bisect_left(places[index], place)
        if coming < len(places[index]):
            needed.append((places[index][coming], index))
    return [index for _, index in sorted(needed)[:KEPT]]
