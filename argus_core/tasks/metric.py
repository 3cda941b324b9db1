"""How predictions are scored: the contract of a metric, and a base for metrics that keep a record per image."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeVar

from argus_core.errors import ArgusError
from argus_core.tasks.contributions import Contributions, Rescore

Record = TypeVar("Record")


class Metric(ABC):
    """Collects predictions and truths in image pixels, one image at a time, and scores them together.

    ``protocol`` names the rules of scoring with their version, options that change a score included: only rows
    of one protocol are ranked together.
    """

    primary: str
    protocol: str
    higher_is_better: ClassVar[bool] = True

    @abstractmethod
    def update(self, key: str, prediction: Any, truth: Any) -> None:
        """Add one sample (usually an image); ``key`` is unique in the data set.

        For a task that compares images, ``prediction`` is a tuple with one for each image of the sample.
        """

    @abstractmethod
    def compute(self) -> dict[str, float]:
        """All scores by name; ``primary`` is the one that ranks."""

    @abstractmethod
    def state(self) -> Any:
        """What was collected, as plain data, so that processes can be merged."""

    @abstractmethod
    def merge(self, states: Sequence[Any]) -> None:
        """Replace what was collected by the union of ``states``; an image counted twice is an error."""

    def contributions(self) -> Contributions | None:
        """What every sample adds to the scores, for intervals and comparisons; None: this metric keeps none."""
        return None

    def rescore(self, kept: Contributions, score: str) -> Rescore | None:
        """The way from choices of samples to one of the scores that ``compute`` gives; None: there is none.

        It needs nothing that this metric has collected: ``kept`` may come from a file.
        """
        return None


class RecordMetric(Metric, Generic[Record]):
    """A metric that keeps one record of plain data per sample, from which all scores are computed at the end."""

    noun: ClassVar[str] = "image"
    """What error messages call a sample."""

    def __init__(self) -> None:
        self._records: dict[str, Record] = {}

    def add(self, key: str, record: Record) -> None:
        """Keep the record of one sample; raises ArgusError if it was added before."""
        if key in self._records:
            raise ArgusError(f"{self.noun} {key!r} is counted twice; give each {self.noun} once")
        self._records[key] = record

    def records(self) -> list[Record]:
        """All records in the order of their keys, so that scores do not depend on the order of adding."""
        return [self._records[key] for key in self.keys()]

    def keys(self) -> tuple[str, ...]:
        """The keys of all samples, sorted."""
        return tuple(sorted(self._records))

    def state(self) -> dict[str, Record]:
        """The records by key."""
        return dict(self._records)

    def merge(self, states: Sequence[Mapping[str, Record]]) -> None:
        """Replace the records by the union of ``states``; a sample in two of them raises ArgusError."""
        self._records = union(states, self.noun)


def union(states: Sequence[Mapping[str, Record]], noun: str = "image") -> dict[str, Record]:
    """All entries of some mappings; raises ArgusError for a key in two of them."""
    merged: dict[str, Record] = {}
    for state in states:
        if twice := sorted(state.keys() & merged.keys()):
            raise ArgusError(f"{noun}s {twice[:3]} are counted twice; split the data set without overlap")
        merged |= state
    return merged
