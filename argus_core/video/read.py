"""Frames of a film, stream or webcam as a player shows them: upright, with square pixels; damage is reported."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from argus_core.errors import counted
from argus_core.image.array import RGB, flatten
from argus_core.video.source import is_cover, library, open_source, pictures_of, rate_of, start_of
from argus_core.video.times import Clock, ahead_of, seconds

Matrix: TypeAlias = "npt.NDArray[np.int32] | None"
_SHAPES = (0.1, 10.0)
"""Allowed width of a pixel by its height; other values in a file are ignored as mistakes."""
_SHORT = 0.5
"""Seconds that may be missing at the end, because sound is often a little longer."""


@dataclass(frozen=True)
class FilmFrame:
    """A frame: its ``number`` from 0, its ``time`` in seconds from the start, and its pixels (h, w, 3)."""

    number: int
    time: float
    image: RGB


@dataclass
class Video:
    """A video; once ``frames`` is exhausted, ``faults`` lists what could not be read."""

    address: str
    faults: list[str] = field(default_factory=list)
    seen: int = 0

    def frames(self, every: int = 1) -> Iterator[FilmFrame]:
        """Every n-th frame; damaged ones are left out, and keep their numbers."""
        av = library()
        try:
            with open_source(self.address) as container:
                stream = pictures_of(container)
                if stream is None:
                    self.faults.append(f"{self.address}: {_without_pictures(container)}")
                    return
                yield from self._decode(av, container, stream, every)
        except (av.FFmpegError, OSError, ValueError) as error:
            what = f"stops after {counted(self.seen, 'frame')}" if self.seen else "cannot be read as a video"
            self.faults.append(f"{self.address}: {what} ({_reason(self.address, error)})")

    def _decode(self, av: Any, container: Any, stream: Any, every: int) -> Iterator[FilmFrame]:
        damaged, end, turns = 0, 0.0, dict[Any, Matrix]()
        clock = Clock(start_of(container), 1 / rate_of(stream), ahead_of(container))
        for packet in container.demux(stream):
            try:
                decoded = packet.decode()
            except av.FFmpegError:  # players continue with the next packet
                damaged += 1
                self.seen += 1
                continue
            for frame in decoded:
                end = max(end, frame.time or 0.0)
                damaged += frame.is_corrupt
                self.seen += 1
                time = clock.read(seconds(frame.pts, frame.time_base))
                if not frame.is_corrupt and (self.seen - 1) % every == 0:
                    # Looked up once, because PyAV never frees a frame whose side data were asked for.
                    kind = frame.width, frame.height, getattr(frame, "rotation", 0)
                    turn = turns[kind] if kind in turns else turns.setdefault(kind, display_matrix(frame))
                    image = as_shown(frame, stream.sample_aspect_ratio, turn)
                    yield FilmFrame(self.seen - 1, round(max(0.0, float(time)), 6), image)
        self._check(damaged, _missing(container, stream, end) if self.seen else "")

    def _check(self, damaged: int, missing: str) -> None:
        """Note what was wrong, after the last frame."""
        if not self.seen:
            self.faults.append(f"{self.address}: holds no frames")
        if damaged:
            self.faults.append(f"{self.address}: {damaged} of {counted(self.seen, 'frame')} damaged and left out")
        if missing:
            self.faults.append(f"{self.address}: ends early, {missing}")


def as_shown(frame: Any, shape: Any, matrix: Matrix) -> RGB:
    """A decoded frame as a player shows it, on white where it is transparent.

    ``shape`` is the width of a pixel by its height, if known, ``matrix`` that of ``display_matrix``. Raises ValueError
    for more pixels than a photograph may have.
    """
    width = frame.width
    if shape and _SHAPES[0] <= shape <= _SHAPES[1]:
        width = max(1, round(frame.width * shape))
    if (most := Image.MAX_IMAGE_PIXELS) and width * frame.height > 2 * most:
        raise ValueError(f"{width}x{frame.height} px (width x height) are more than {2 * most} pixels")
    clear = any(part.is_alpha for part in frame.format.components)
    # Without a colour space that differs from the frame's, PyAV before 17 takes every frame for standard television.
    how = {"width": width, "height": frame.height, "dst_colorspace": "ITU601"}
    pixels = frame.to_ndarray(format="rgba" if clear else "rgb24", **how)
    return np.ascontiguousarray(_turn(flatten(Image.fromarray(pixels)) if clear else pixels, matrix))


def display_matrix(frame: Any) -> Matrix:
    """The numbers by which a frame is turned and mirrored to be shown; None if it is shown as it is."""
    matrices = (bytes(data) for data in frame.side_data if data.type.name == "DISPLAYMATRIX")
    matrix = next((np.frombuffer(data, "=i4") for data in matrices), None)
    return None if matrix is None or len(matrix) < 5 else matrix


def _turn(pixels: RGB, matrix: Matrix) -> RGB:
    """Turn and mirror pixels by a display matrix, to the nearest quarter turn."""
    if matrix is None:
        return pixels
    # The matrix takes (x, y) of the stored frame to (a x + c y, b x + d y) of the shown one.
    a, b, c, d = (int(matrix[at]) for at in (0, 1, 3, 4))
    if abs(a) + abs(d) < abs(b) + abs(c):
        pixels, a, d = pixels.swapaxes(0, 1), c, b
    return pixels[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]


def _without_pictures(container: Any) -> str:
    """Why a container has no frames to show."""
    kinds = sorted({stream.type for stream in container.streams if not (stream.type == "video" and is_cover(stream))})
    if "video" in kinds:
        return "its video is in a format that PyAV cannot decode; convert it to H.264"
    return f"holds no video{', only ' + ' and '.join(kinds) if kinds else ''}"


def _missing(container: Any, stream: Any, end: float) -> str:
    """How much of the stated length is missing, in words; ``end`` is the time of the last frame in seconds."""
    # Lengths in tags of Matroska count from 0, others from the first frame.
    start = float((stream.start_time or 0) * stream.time_base) if stream.time_base and stream.duration else 0.0
    own = float(stream.duration * stream.time_base) if stream.duration else _tagged(stream.metadata.get("DURATION", ""))
    stated = own or (container.duration or 0) / 1e6
    alone = own or len(container.streams) == 1
    step = 1 / float(stream.average_rate) if stream.average_rate else 0.0
    there = end - start + step
    if not alone or stated - there <= max(_SHORT, 0.05 * stated):
        return ""
    return f"{there:.1f} of {stated:.1f} s are there"


def _tagged(text: str) -> float:
    """The seconds of a duration as Matroska files state it, ``00:00:04.000000000``; 0 for any other text."""
    try:
        hours, minutes, rest = (float(part) for part in text.split(":"))
    except ValueError:
        return 0.0
    return 3600 * hours + 60 * minutes + rest


def _reason(address: str, error: Exception) -> str:
    path = Path(address)
    if "://" not in address and path.is_file() and path.stat().st_size == 0:
        return "it is empty"
    if type(error).__name__ == "InvalidDataError":
        return "its content is no video that FFmpeg knows, or its end is missing"
    if type(error).__name__ == "EOFError":
        return "its end is missing"
    return getattr(error, "strerror", None) or str(error)
