"""The results of all heads for one image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, overload

import numpy as np
import numpy.typing as npt

from argus_core.draw.palette import Pixels
from argus_core.errors import unknown
from argus_core.model.composite import draw_results
from argus_core.model.flags import Flag, find_flags, flag_summary
from argus_core.tasks import Result
from argus_core.tasks.classify import ClassResult
from argus_core.tasks.depth import DepthResult
from argus_core.tasks.detect import DetectionResult
from argus_core.tasks.result import Drawn, Vectors, rounded, size_text
from argus_core.tasks.segment import SegmentResult

NOUNS = {
    "classify": "classification",
    "segment": "segmentation",
    "depth": "depth",
    "detect": "detections",
    "correspond": "descriptors",
}
"""Name of a task's result."""
MAPS = {"segmentation_confidence": ("segmentation", "confidence"), "depth_uncertainty": ("depth", "deviation")}
"""Maps of how certain a result is: which field of which result."""


@dataclass(frozen=True, repr=False)
class Perception(Mapping[str, Any], Drawn):
    """Results by head name; the first head of each task is also found by the task's noun, as in ``["depth"]``.

    ``timings_ms`` holds the milliseconds of the backbone and of each head, for all images of the call together.
    If ``confident``, ``segmentation_confidence`` (h, w) is the probability of each pixel's class, and
    ``depth_uncertainty`` (h, w) the standard deviation of each pixel's depth in metres.
    """

    results: Mapping[str, Result]
    nouns: Mapping[str, str] = field(repr=False)
    timings_ms: Mapping[str, float] = field(repr=False)
    confident: bool = False

    def __repr__(self) -> str:
        """A line for every result."""
        lines = [f"  {name}: {result.summary() or type(result).__name__}" for name, result in self.results.items()]
        if self.flags:
            lines.append(f"  flags: {flag_summary(self.flags)}")
        images = {size_text(result.image): None for result in self.results.values()}
        times = [f"{sum(self.timings_ms.values()):.0f} ms"] if self.timings_ms else []
        return "\n".join([f"Perception({'; '.join([*images, *times])}", *lines]) + ")"

    @overload
    def __getitem__(self, key: Literal["classification"]) -> ClassResult: ...
    @overload
    def __getitem__(self, key: Literal["segmentation"]) -> SegmentResult: ...
    @overload
    def __getitem__(self, key: Literal["depth"]) -> DepthResult: ...
    @overload
    def __getitem__(self, key: Literal["detections"]) -> DetectionResult: ...
    @overload
    def __getitem__(self, key: Literal["segmentation_confidence", "depth_uncertainty"]) -> npt.NDArray[np.float32]: ...
    @overload
    def __getitem__(self, key: str) -> Any: ...
    def __getitem__(self, key: str) -> Any:
        if key == "timings_ms":
            return self.timings_ms
        if key in self._maps():
            noun, name = MAPS[key]
            return getattr(self[noun], name)
        name = self.nouns.get(key, key)
        if name not in self.results:
            raise KeyError(str(unknown("answer", key, self)))
        return self.results[name]

    def __iter__(self) -> Iterator[str]:
        yield from dict.fromkeys((*self.nouns, *self._maps(), *self.results, "timings_ms"))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _maps(self) -> list[str]:
        return [key for key, (noun, _) in MAPS.items() if self.confident and noun in self.nouns]

    @property
    def embedding(self) -> Vectors | None:
        """The vector (C,) of the whole image, if embeddings were asked for: of the pass with detections, if any."""
        ordered = sorted(self.results.values(), key=lambda result: not isinstance(result, DetectionResult))
        return next((result.embedding for result in ordered if result.embedding is not None), None)

    @cached_property
    def flags(self) -> list[Flag]:
        """Detections that a mask of the same image contradicts: more of them are false than of the others."""
        return find_flags(self.results)

    def draw(self) -> Pixels:
        """A grid: the image with its classes, and a picture of every other result."""
        return draw_results(self.results)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values: every head's result, what is said of the whole image, and the times."""
        results = {name: result.to_dict() for name, result in self.results.items()}
        return {**results, **self.whole(), "timings_ms": dict(self.timings_ms)}

    def whole(self) -> dict[str, Any]:
        """What is said of the whole image, as plain JSON values: "embedding" and "flags", where there are any."""
        values: dict[str, Any] = {} if self.embedding is None else {"embedding": rounded(self.embedding)}
        return {**values, "flags": [flag.to_dict() for flag in self.flags]} if self.flags else values
