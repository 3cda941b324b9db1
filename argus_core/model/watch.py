"""A film walked frame by frame, with the answers about each."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from argus_core.errors import ArgusError, several
from argus_core.image.array import RGB
from argus_core.model.perception import Perception
from argus_core.video.read import Video

if TYPE_CHECKING:
    from argus_core.model.questions import Questions


@dataclass(frozen=True)
class WatchedFrame:
    """A frame of a film: its ``number`` from 0, its ``time`` in seconds from the start, pixels (h, w, 3), answers."""

    number: int
    time: float
    image: RGB = field(repr=False)
    perception: Perception


def watch(
    argus: Questions,
    source: str | Path,
    every: int,
    limit: int,
    tasks: Sequence[str] | None,
    return_confidence: bool,
    embeddings: bool,
) -> Iterator[WatchedFrame]:
    """See ``Argus.watch``; raises ArgusError for unknown tasks and numbers that make no sense before any frame."""
    if every < 1 or limit < 0:
        raise ArgusError(f"every={every}, limit={limit}: look at every 1st, 2nd, ... frame, and at 0 (all) or more")
    argus.names(tasks)
    return _watch(argus, Video(str(source)), every, limit, tasks, return_confidence, embeddings)


def _watch(
    argus: Questions,
    video: Video,
    every: int,
    limit: int,
    tasks: Sequence[str] | None,
    return_confidence: bool,
    embeddings: bool,
) -> Iterator[WatchedFrame]:
    looked, frames = 0, islice(video.frames(every), limit or None)
    while batch := list(islice(frames, argus.batch)):
        perceptions = argus.perceive([frame.image for frame in batch], tasks, return_confidence, embeddings)
        for frame, perception in zip(batch, perceptions, strict=True):
            yield WatchedFrame(frame.number, frame.time, frame.image, perception)
            looked += 1
    if video.faults and not looked:
        raise ArgusError(several(video.faults))
    for fault in video.faults:
        warnings.warn(fault, stacklevel=2)
