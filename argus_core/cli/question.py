"""What the looking commands are asked, checked as far as that goes without torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from argus_core.cli.inputs import Source, find_sources
from argus_core.registry.places import check_asked


@dataclass(frozen=True)
class Question:
    """What all looking commands can be told; ``tasks`` are names of tasks or heads, None is all.

    Without a ``model`` the built-in one answers. ``pictures``: one of every image with all answers; ``each``: one of
    every answer. ``annotations`` is a COCO file whose ids the detections get.
    """

    inputs: Sequence[str]
    model: str | None
    out: Path
    tasks: Sequence[str] | None
    threshold: float
    canvas: str | None
    pictures: bool
    each: bool
    every: int
    limit: int
    batch: int
    device: str | None
    license: str | None
    annotations: Path | None = None

    def check(self, task: str | None = None, head: str | None = None) -> list[Source]:
        """The images to look at; raises ArgusError for what is not there, in names of heads too."""
        sources = find_sources(self.inputs, self.out)
        check_asked(self.model, self.tasks, task, head)
        return sources
