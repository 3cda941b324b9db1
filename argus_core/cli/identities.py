"""The ids of objects in the films that a command looks at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from argus_core.cli.inputs import Frame
from argus_core.cli.requests import LookRequest
from argus_core.errors import ArgusError
from argus_core.tasks import Result, Task
from argus_core.tasks.detect import Detect, DetectionResult
from argus_core.track import Tracker
from argus_core.track.tracker import LOW


class Identities:
    """Trackers for all detectors and films, if a command shall track; frames pass in their order.

    Answers have to hold boxes from ``lowest`` on, and with ``embeddings`` vectors, which are taken out again unless the
    user wants them. Raises ArgusError if no task detects.
    """

    def __init__(self, request: LookRequest, tasks: Mapping[str, Task]) -> None:
        if request.track and not any(isinstance(task, Detect) for task in tasks.values()):
            raise ArgusError(f"--track follows detected objects, and {', '.join(tasks)} detects none: leave it out")
        self._request = request
        self.lowest = min(LOW, request.threshold) if request.track else request.threshold
        self.embeddings = request.embeddings or request.track
        self._trackers: dict[tuple[str, str], Tracker] = {}

    def update(self, frame: Frame, results: Mapping[str, Result]) -> Mapping[str, Result]:
        """The answers about a frame with ids; about a photograph without the boxes that only trackers need."""
        if not self._request.track:
            return results
        return {head: self._wanted(self._follow(frame, head, result)) for head, result in results.items()}

    def told(self) -> Iterator[str]:
        """How many identities each film had."""
        for (film, head), tracker in self._trackers.items():
            yield f"{head}: {tracker.count} {'identity' if tracker.count == 1 else 'identities'} in {film}"

    def _follow(self, frame: Frame, head: str, result: Result) -> Result:
        if not isinstance(result, DetectionResult):
            return result
        if frame.time is None:
            return result.chosen((result.detections.scores >= self._request.threshold).numpy())
        key = frame.source, head
        if key not in self._trackers:
            self._trackers[key] = Tracker(self._request.threshold, self.lowest)
        return self._trackers[key].update(result, frame.time)

    def _wanted(self, result: Result) -> Result:
        if self._request.embeddings:
            return result
        bare = replace(result, embedding=None)
        return replace(bare, embeddings=None) if isinstance(bare, DetectionResult) else bare
