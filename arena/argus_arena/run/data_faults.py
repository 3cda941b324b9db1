"""What a command does about faults of its data before it works on them: see ``argus_core.data.check``."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from argus_arena.run.sources import RunData
from argus_core.cache import Cache
from argus_core.data import Split
from argus_core.data.check import ACCEPT, Size, refuse_faults
from argus_core.data.split import guarded
from argus_core.errors import ArgusError, counted

SAMPLED = 64
"""Images that are read for their sizes where no cache knows them."""


class DataChecks:
    """Checks splits and prints each warning once, on standard error; ``accepted`` are the faults that were accepted."""

    def __init__(self, accept: bool, loud: bool = True) -> None:
        self.accept, self.loud = accept, loud
        self.accepted: list[str] = []
        self._warnings: set[str] = set()

    def check(self, split: Split, tasks: Iterable[str], sizes: Mapping[int, Size], learning: bool) -> None:
        """Refuse a split or warn of it; raises DataRefused."""
        faults = refuse_faults(split, tasks, sizes, self.warn, accept=self.accept, learning=learning)
        self.accepted += [fault for fault in faults if fault not in self.accepted]

    def warn(self, text: str) -> None:
        """Print a warning, unless it was printed before."""
        if self.loud and text not in self._warnings:
            print(f"warning: {text}", file=sys.stderr)
        self._warnings.add(text)

    @property
    def notes(self) -> list[str]:
        """What a result row must say of its data."""
        return [f"accepted with {ACCEPT}: {fault}" for fault in self.accepted]


def check_run_data(data: RunData, tasks: Collection[str], accept: bool, loud: bool = True) -> list[str]:
    """Check both splits of a run; returns notes of the faults that were accepted. Raises DataRefused."""
    checks = DataChecks(accept, loud)
    train, val = data.train, data.val
    caches = {train.name: data.cached.train, val.name: data.cached.val} if data.cached else {}
    for split in {train.name: train, val.name: val}.values():
        own = [name for name in tasks if name in split.tasks]
        checks.check(split, own, sizes_of(split, caches.get(split.name)), learning=split.name == train.name)
    if train.name != val.name and caches:
        digests = [{image.sha256 for image in cache.images if image.sha256} for cache in caches.values()]
        if shared := set.intersection(*digests):
            images = counted(len(val), "image")
            checks.warn(
                f"{len(shared)} of {images} of {val.name} are also in {train.name}, byte for byte: scores are too good"
            )
    return checks.notes


def sizes_of(split: Split, cache: Cache | None = None) -> dict[int, Size]:
    """Height and width of the images: of all that a cache knows, else of some, evenly spread, which are read."""
    if cache is not None:
        known = zip(range(len(split)), cache.images, strict=False)
        return {n: image.size for n, image in known if not image.skipped and image.key == split.key(n)}
    sizes = {}
    for index in range(0, len(split), max(1, -(-len(split) // SAMPLED))):
        try:
            with guarded(split):
                sizes[index] = split.image_size(index)
        except ArgusError:
            continue  # whatever needs the image reports it
    return sizes


def undefined(rows: Mapping[str, Mapping[str, Any]], split: str, accepted: Sequence[str] = ()) -> dict[str, str]:
    """Why the primary score is undefined, by head, for heads without one."""
    why = "; ".join(accepted) or "nothing that is annotated there counts, or no prediction is a finite number"
    return {
        name: f"{row['primary']} could not be computed on split {split!r}: {why}"
        for name, row in rows.items()
        if row["metrics"].get(row["primary"]) is None
    }
