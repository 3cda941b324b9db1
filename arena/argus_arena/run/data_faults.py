"""What a command says of the data it is given before it works on them: see ``argus_core.data.check``."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from argus_arena.run.config import RunRequest
from argus_core.cache import Cache
from argus_core.data import Split
from argus_core.data.check import ACCEPT, Size, heed
from argus_core.errors import ArgusError, counted

SEEN = 64
"""Images that are read for their sizes where no cache knows them."""


class Care:
    """Heeds splits and says each warning once, on standard error; ``accepted`` is what was accepted."""

    def __init__(self, accept: bool, loud: bool = True) -> None:
        self.accept, self.loud = accept, loud
        self.accepted: list[str] = []
        self._said: set[str] = set()

    def heed(self, split: Split, tasks: Iterable[str], sizes: Mapping[int, Size], learning: bool) -> None:
        """Refuse a split or warn of it; raises DataRefused."""
        found = heed(split, tasks, sizes, self.warn, accept=self.accept, learning=learning)
        self.accepted += [one for one in found if one not in self.accepted]

    def warn(self, text: str) -> None:
        """Say it, unless it was said."""
        if self.loud and text not in self._said:
            print(f"warning: {text}", file=sys.stderr)
        self._said.add(text)

    @property
    def notes(self) -> list[str]:
        """What a result row must say of its data."""
        return [f"accepted with {ACCEPT}: {one}" for one in self.accepted]


def heed_run(request: RunRequest, train: Split, val: Split, tasks: Iterable[str], loud: bool = True) -> list[str]:
    """Heed both splits of a run; returns notes of what was accepted. Raises DataRefused."""
    care, named = Care(request.accept_faults, loud), list(tasks)
    digests: dict[str, list[str]] = {}
    for split, learning in {train.name: (train, True), val.name: (val, val.name == train.name)}.values():
        cache = None if request.cache is None else Cache.open(request.cache / split.name)
        care.heed(split, [name for name in named if name in split.tasks], sizes_of(split, cache), learning)
        digests[split.name] = [] if cache is None else [image.sha256 for image in cache.images if image.sha256]
    if train.name != val.name and (shared := set(digests[train.name]) & set(digests[val.name])):
        of = counted(len(val), "image")
        care.warn(f"{len(shared)} of {of} of {val.name} are also in {train.name}, byte for byte: scores are too good")
    return care.notes


def sizes_of(split: Split, cache: Cache | None = None) -> dict[int, Size]:
    """Height and width of the images: of all that a cache knows, else of some, evenly spread, which are read."""
    if cache is not None:
        known = zip(range(len(split)), cache.images, strict=False)
        return {n: image.size for n, image in known if not image.skipped and image.key == split.key(n)}
    sizes = {}
    for index in range(0, len(split), max(1, -(-len(split) // SEEN))):
        try:
            height, width, _ = split.read(index).shape
        except ArgusError:
            continue  # it is told by whoever needs the image
        sizes[index] = (height, width)
    return sizes


def undefined(rows: Mapping[str, Mapping[str, Any]], split: str, accepted: Sequence[str] = ()) -> dict[str, str]:
    """By head, why the score that decides is no number, for those without one."""
    why = "; ".join(accepted) or "nothing that is annotated there counts, or no prediction is a finite number"
    return {
        name: f"{row['primary']} could not be computed on split {split!r}: {why}"
        for name, row in rows.items()
        if row["metrics"].get(row["primary"]) is None
    }
