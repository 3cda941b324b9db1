"""The annotated films that a command writes beside the answers about their frames."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from argus_core.cli.inputs import Frame
from argus_core.common.out_folder import OutFolder
from argus_core.common.progress import duration
from argus_core.errors import ArgusError, counted
from argus_core.model.screen import Screen
from argus_core.tasks import Result
from argus_core.video.source import is_stored, prospect
from argus_core.video.write import ENCODERS, FilmWriter, encoder

UNFINISHED = "-unfinished"
"""Added to the name of a film that a run did not come to the end of."""


class Films:
    """A context that writes ``NAME.mp4`` for each moving source, whose frames come one source after the other.

    Until its last frame is in, a film has a hidden name. If the run ends early it becomes ``NAME-unfinished.mp4``, a
    stream, which has no end, ``NAME.mp4``. Sound ends with the last frame if ``limit`` frames were looked at.
    """

    def __init__(self, folder: OutFolder, limit: int) -> None:
        self._folder, self._limit = folder, limit
        self._frame: Frame | None = None

    def __enter__(self) -> Films:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._frame is None:
            return
        try:
            if self._writer.frames:
                self._finish(early=kind is not None)
        except ArgusError:
            if kind is None:
                raise
        finally:
            self._writer.discard()

    def add(self, frame: Frame, results: Mapping[str, Result]) -> None:
        """Add the answers about a frame to its film."""
        if self._frame is None or frame.film != self._frame.film:
            self._begin(frame, results)
        assert frame.number is not None and frame.time is not None
        self._writer.write(self._screen.draw(results, frame.number, frame.time), frame.time)

    def _begin(self, frame: Frame, results: Mapping[str, Result]) -> None:
        if self._frame is not None:
            self._finish()
        elif encoder() == list(ENCODERS)[-1]:
            notice = "PyAV has no encoder of H.264 here, so films are in MPEG-4 Part 2, which few browsers show"
            print(f"notice: {notice}", file=sys.stderr)
        self._frame, self._screen = frame, Screen(results)
        part = self._folder.file(f".{frame.film}.mp4.part")
        self._writer = FilmWriter(part, prospect(frame.source).rate, frame.source)

    def _finish(self, early: bool = False) -> None:
        assert self._frame is not None
        frame, self._frame = self._frame, None
        early = early and is_stored(frame.source)
        path = self._folder.file(f"{frame.film}{UNFINISHED if early else ''}.mp4")
        self._writer.close(path, whole=not early and self._writer.frames != self._limit)
        print(f"film: {_told(path, self._writer)}{', as far as the run came' if early else ''}")


def _told(path: Path, writer: FilmWriter) -> str:
    """A film in words, with the number of its frames, its length and whether there is sound."""
    return f"{path} ({counted(writer.frames, 'frame')}, {duration(writer.seconds)}, {writer.sound})"
