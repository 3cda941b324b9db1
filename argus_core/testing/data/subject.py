"""The data set under test: opened once, again where that can be, and which of its images are looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from argus_core.data import DataSet, Split
from argus_core.errors import ArgusError

IMAGES = 6
"""Images of each split that are read."""
HASHED = 500
"""Images of each split, spread evenly, whose digests are compared."""


@dataclass(frozen=True)
class DataSubject:
    """A data spec, an open data set, or a function that opens one."""

    target: str | DataSet | Callable[[], DataSet]

    @classmethod
    def of(cls, target: Any, options: Mapping[str, Any] | None = None) -> DataSubject:
        """The subject; nothing is opened yet. Raises ArgusError for what is no data set, and for options."""
        if options:
            raise ArgusError(f"options of a data set are part of its spec, as in NAME:PATH,key=value; got {options}")
        if not isinstance(target, str | Mapping) and not callable(target):
            raise ArgusError(f"{target!r} is no data set: give a data spec, splits by name, or a function")
        return cls(target)

    def open(self) -> DataSet:
        """The splits, opened anew unless open ones were given."""
        if isinstance(self.target, str):
            from argus_core.plugins.data_spec import open_data

            return open_data(self.target)
        return self.target if isinstance(self.target, Mapping) else self.target()

    @cached_property
    def data(self) -> DataSet:
        """The splits that checks share."""
        return self.open()

    def images(self) -> Iterator[tuple[Split, int, str]]:
        """Split, index and a name of every image that is read."""
        for split in self.data.values():
            for index in spread(len(split), IMAGES):
                yield split, index, f"{split.name}, image {split.key(index)!r}"

    def truths(self) -> Iterator[tuple[Split, str, int, str]]:
        """Split, task, sample and a name of every annotation that is read."""
        for split in self.data.values():
            for task in split.tasks:
                for sample in spread(len(split.samples(task)), IMAGES):
                    yield split, task, sample, f"{split.name}, {task} of sample {sample}"


def spread(count: int, most: int) -> list[int]:
    """At most that many indices, evenly over all."""
    return sorted({i * count // most for i in range(most)}) if count > most else list(range(count))
