"""The fit of a head by several processes, tried in one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from argus_core.head import Head
from argus_core.tokens import Features

Batch = tuple[Features, Sequence[Any]]


class _Asked(BaseException):
    """A process needs what the others have not told yet; not an Exception, which a head might catch."""


@dataclass
class _Process:
    """Batches as one process gets them; ``told`` is what all of them gave so far, ``told[call][rank]``."""

    batches: Sequence[Batch]
    rank: int
    size: int
    told: Sequence[Sequence[Any]]
    calls: int = 0

    def __iter__(self) -> Iterator[Batch]:
        return iter(self.batches)

    def share(self) -> Sequence[Batch]:
        first, last = (len(self.batches) * rank // self.size for rank in (self.rank, self.rank + 1))
        return self.batches[first:last]

    def gather(self, value: Any) -> Sequence[Any]:
        self.calls += 1
        if self.calls > len(self.told):
            raise _Asked(value)
        return self.told[self.calls - 1]


def fit_by_processes(build: Callable[[], Head], batches: Sequence[Batch], size: int = 2) -> list[Head]:
    """The heads that ``size`` processes fit, each on its share; every one is begun again for each thing it is told."""
    told: list[list[Any]] = []
    while True:
        heads, asked = [], []
        for rank in range(size):
            head = build()
            try:
                head.fit(_Process(batches, rank, size, told))
                heads.append(head)
            except _Asked as question:
                asked.append(question.args[0])
        if not asked:
            return heads
        assert not heads, "some processes ask the others for totals, and some do not"
        told.append(asked)
