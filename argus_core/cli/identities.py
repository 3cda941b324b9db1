"""The ids of objects in the films that a command looks at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from argus_core.cli.inputs import Frame
from argus_core.cli.requests import LookRequest
from argus_core.errors import ArgusError
from argus_core.tasks import Result, Task
from argus_core.tasks.detect import Detect, DetectionResult
from argus_core.track.following import Following, without_vectors


class Identities:
    """What follows objects in each film, if a command shall do so; frames pass in their order.

    Answers have to hold boxes from ``lowest`` on, and with ``embeddings`` vectors. Raises ArgusError if no task
    detects.
    """

    def __init__(self, request: LookRequest, tasks: Mapping[str, Task]) -> None:
        if request.track and not any(isinstance(task, Detect) for task in tasks.values()):
            raise ArgusError(
                f"--track follows objects, and no head here detects any ({', '.join(tasks)}): leave it out"
            )
        self._request = request
        self.lowest = self._following().lowest if request.track else request.threshold
        self.embeddings = request.embeddings or request.track
        self._films: dict[str, Following] = {}

    def update(self, frame: Frame, results: Mapping[str, Result]) -> Mapping[str, Result]:
        """The answers about a frame with ids; about a photograph those that do without."""
        if not self._request.track:
            return results
        if frame.time is None:
            return {head: self._still(result) for head, result in results.items()}
        return self._films.setdefault(frame.source, self._following()).update(results, frame.time)

    def told(self) -> Iterator[str]:
        """How many identities each film had."""
        for film, following in self._films.items():
            for head, count in following.counts.items():
                yield f"{head}: {count} {'identity' if count == 1 else 'identities'} in {film}"

    def _still(self, result: Result) -> Result:
        """Of a photograph, without what only following needs."""
        result = result if self._request.embeddings else without_vectors(result)
        if isinstance(result, DetectionResult):
            return result.chosen((result.detections.scores >= self._request.threshold).numpy())
        return result

    def _following(self) -> Following:
        return Following(self._request.threshold, self._request.embeddings)
