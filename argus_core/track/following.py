"""The answers about the frames of one film, followed by a tracker for each detector."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from argus_core.tasks import Result
from argus_core.tasks.detect import DetectionResult
from argus_core.track.tracker import LOW, Tracker


class Following:
    """Trackers of the detectors that look at a film; its frames pass in their order.

    Detectors have to be asked for boxes from ``lowest`` on, and for embeddings, which ``update`` takes out of all
    answers unless ``embeddings``. ``counts`` says how many identities each of them has seen.
    """

    def __init__(self, threshold: float, embeddings: bool = False) -> None:
        self.lowest = min(LOW, threshold)
        self._threshold, self._embeddings = threshold, embeddings
        self._trackers: dict[str, Tracker] = {}

    @property
    def counts(self) -> dict[str, int]:
        """Identities by head."""
        return {head: tracker.count for head, tracker in self._trackers.items()}

    def update(self, results: Mapping[str, Result], time: float) -> dict[str, Result]:
        """The answers about the next frame, at ``time`` in seconds, with the ids of objects."""
        followed = {head: self._follow(head, result, time) for head, result in results.items()}
        if self._embeddings:
            return followed
        return {head: without_vectors(result) for head, result in followed.items()}

    def _follow(self, head: str, result: Result, time: float) -> Result:
        if not isinstance(result, DetectionResult):
            return result
        return self._trackers.setdefault(head, Tracker(self._threshold, self.lowest)).update(result, time)


def without_vectors(result: Result) -> Result:
    """The same answer without embeddings."""
    bare = replace(result, embedding=None)
    return replace(bare, embeddings=None) if isinstance(bare, DetectionResult) else bare
