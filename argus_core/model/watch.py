"""A film walked frame by frame, with the answers about each."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from argus_core.errors import ArgusError, several
from argus_core.image.array import RGB
from argus_core.model.perception import Perception
from argus_core.track.following import Following
from argus_core.track.tracker import THRESHOLD
from argus_core.video.read import FilmFrame, Video

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
    track: bool,
) -> Iterator[WatchedFrame]:
    """See ``Argus.watch``; raises ArgusError for unknown tasks and numbers that make no sense before any frame."""
    if every < 1 or limit < 0:
        raise ArgusError(f"every={every}, limit={limit}: look at every 1st, 2nd, ... frame, and at 0 (all) or more")
    names = argus.names(tasks)
    if track:
        look = _follow(argus, names, return_confidence, embeddings)
    else:
        look = partial(_look, argus, tasks, return_confidence, embeddings)
    return _watch(Video(str(source)), every, limit, argus.batch, look)


Look: TypeAlias = "Callable[[Sequence[FilmFrame]], list[Perception]]"
"""The answers about the next frames of a film."""


def _look(
    argus: Questions,
    tasks: Sequence[str] | None,
    return_confidence: bool,
    embeddings: bool,
    frames: Sequence[FilmFrame],
) -> list[Perception]:
    return argus.perceive([frame.image for frame in frames], tasks, return_confidence, embeddings)


def _follow(argus: Questions, names: Sequence[str], return_confidence: bool, embeddings: bool) -> Look:
    """Look with ids of objects, for which boxes of low scores and embeddings are needed."""
    following = Following(THRESHOLD, embeddings)
    options, nouns = {"detect": {"score_thresh": following.lowest}}, argus._nouns(names)

    def look(frames: Sequence[FilmFrame]) -> list[Perception]:
        timings = dict[str, float]()
        answers = argus.answer([frame.image for frame in frames], names, options, timings, embeddings=True)
        times = [frame.time for frame in frames]
        followed = map(following.update, answers, times)
        return [Perception(results, nouns, timings, return_confidence) for results in followed]

    return look


def _watch(video: Video, every: int, limit: int, batch: int, look: Look) -> Iterator[WatchedFrame]:
    looked, frames = 0, islice(video.frames(every), limit or None)
    while together := list(islice(frames, batch)):
        for frame, perception in zip(together, look(together), strict=True):
            yield WatchedFrame(frame.number, frame.time, frame.image, perception)
            looked += 1
    if video.faults and not looked:
        raise ArgusError(several(video.faults))
    for fault in video.faults:
        warnings.warn(fault, stacklevel=2)
