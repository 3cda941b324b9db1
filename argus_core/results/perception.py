"""Everything that the heads of an Argus say about one image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from argus_core.results.base import Result

NOUNS = {
    "classify": "classification",
    "segment": "segmentation",
    "depth": "depth",
    "detect": "detections",
    "correspond": "descriptors",
}
"""What a task's result is called."""


@dataclass(frozen=True)
class Perception(Mapping[str, Any]):
    """Results by head name; the first head of each task also answers to the task's noun, as in ``["depth"]``.

    ``timings_ms`` holds the milliseconds of the call, all its images together, for the backbone and every head.
    """

    results: Mapping[str, Result]
    nouns: Mapping[str, str] = field(repr=False)
    timings_ms: Mapping[str, float] = field(repr=False)

    def __getitem__(self, key: str) -> Any:
        if key == "timings_ms":
            return self.timings_ms
        return self.results[self.nouns.get(key, key)]

    def __iter__(self) -> Iterator[str]:
        yield from dict.fromkeys((*self.nouns, *self.results, "timings_ms"))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values: every head's answer and the times."""
        answers = {name: result.to_dict() for name, result in self.results.items()}
        return {**answers, "timings_ms": dict(self.timings_ms)}
