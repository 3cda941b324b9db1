"""What a writer of results is given, and what it promises."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from argus_core.common.out_folder import OutFolder
from argus_core.draw.palette import Pixels
from argus_core.formats.coco_ids import Numbering
from argus_core.tasks import Result
from argus_core.tasks.classify import ClassResult
from argus_core.tasks.correspond import MatchResult
from argus_core.tasks.depth import DepthResult
from argus_core.tasks.detect import DetectionResult
from argus_core.tasks.segment import SegmentResult

R = TypeVar("R", bound=Result)
TASKS = {
    ClassResult: "classify",
    SegmentResult: "segment",
    DepthResult: "depth",
    DetectionResult: "detect",
    MatchResult: "correspond",
}
"""The built-in task of each kind of result."""


def task_of(result: Result) -> str:
    """The name of the task that a result answers; of a task that is not built in, the type of the result."""
    return next((task for kind, task in TASKS.items() if isinstance(result, kind)), type(result).__name__)


@dataclass(frozen=True)
class Record:
    """The answers about one image, by head.

    ``name`` and ``place`` are unique: a plain name, and the path of the image below the folder that was asked for,
    with slashes and without suffix. ``source`` is where it came from, in words; ``file`` is the image itself where it
    is a file, ``frame`` its number in a video and ``time`` its seconds from the start of that.
    """

    name: str
    place: str
    source: str
    image: Pixels
    results: Mapping[str, Result]
    file: Path | None = None
    frame: int | None = None
    time: float | None = None

    def of(self, kind: type[R]) -> Iterator[tuple[str, R]]:
        """The answers of one kind, with the names of their heads."""
        return ((head, result) for head, result in self.results.items() if isinstance(result, kind))

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the image, upright."""
        return self.image.shape[0], self.image.shape[1]


class Writer(ABC):
    """Writes one format below a folder, image by image, in memory that does not grow with the images.

    If the program is killed, what was written for earlier images is whole.
    """

    def __init__(self, folder: OutFolder, numbering: Numbering) -> None:
        self.folder, self.numbering = folder, numbering

    @abstractmethod
    def write(self, record: Record) -> None:
        """Write the answers about one image, those of this format."""

    def close(self) -> None:  # noqa: B027
        """Finish the files; nothing, where they are whole at any time."""
