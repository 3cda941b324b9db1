"""Frames of a video, stream or webcam as a player shows them: upright, with square pixels; damage is reported."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from argus_core.errors import ArgusError, counted
from argus_core.image.array import RGB

WEBCAM = "webcam:"
WEBCAMS = {"linux": ("v4l2", "/dev/video{}"), "darwin": ("avfoundation", "{}"), "win32": ("dshow", "video={}")}
_SHAPES = (0.1, 10.0)
"""Allowed width of a pixel by its height; other values in a file are ignored as mistakes."""
_SHORT = 0.5
"""Seconds that may be missing at the end, because sound is often a little longer."""
_ATTACHED_PICTURE = 1 << 10
"""FFmpeg's flag of a stream that is the cover picture of a song."""


@dataclass
class Video:
    """A video; once ``frames`` is exhausted, ``faults`` lists what could not be read."""

    address: str
    faults: list[str] = field(default_factory=list)
    seen: int = 0

    def frames(self) -> Iterator[tuple[int, RGB]]:
        """The number and (h, w, 3) pixels of each frame; damaged frames are left out."""
        av = _library()
        try:
            with _open(av, self.address) as container:
                stream = _stream(container)
                if stream is None:
                    self.faults.append(f"{self.address}: {_without_pictures(container)}")
                    return
                yield from self._decode(av, container, stream)
        except (av.FFmpegError, OSError, ValueError) as error:
            what = f"stops after {counted(self.seen, 'frame')}" if self.seen else "cannot be read as a video"
            self.faults.append(f"{self.address}: {what} ({_reason(self.address, error)})")

    def _decode(self, av: Any, container: Any, stream: Any) -> Iterator[tuple[int, RGB]]:
        damaged, end = 0, 0.0
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
                if not frame.is_corrupt:
                    yield self.seen - 1, as_shown(frame, stream.sample_aspect_ratio)
        if not self.seen:
            self.faults.append(f"{self.address}: holds no frames")
        if damaged:
            self.faults.append(f"{self.address}: {damaged} of {counted(self.seen, 'frame')} damaged and left out")
        if self.seen and (missing := _missing(container, stream, end)):
            self.faults.append(f"{self.address}: ends early, {missing}")


def as_shown(frame: Any, shape: Any) -> RGB:
    """A decoded frame as a player shows it; ``shape`` is the width of a pixel by its height, if known."""
    width = frame.width
    if shape and _SHAPES[0] <= shape <= _SHAPES[1]:
        width = max(1, round(frame.width * shape))
    pixels = frame.to_ndarray(format="rgb24", width=width, height=frame.height)
    return np.ascontiguousarray(_turn(pixels, frame))


def _turn(pixels: RGB, frame: Any) -> RGB:
    """Turn and mirror pixels by the frame's display matrix, to the nearest quarter turn."""
    matrices = (bytes(data) for data in frame.side_data if data.type.name == "DISPLAYMATRIX")
    matrix = next((np.frombuffer(data, "=i4") for data in matrices), None)
    if matrix is None or len(matrix) < 5:
        return pixels
    # The matrix takes (x, y) of the stored frame to (a x + c y, b x + d y) of the shown one.
    a, b, c, d = (int(matrix[at]) for at in (0, 1, 3, 4))
    if abs(a) + abs(d) < abs(b) + abs(c):
        pixels, a, d = pixels.swapaxes(0, 1), c, b
    return pixels[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]


def _library() -> Any:
    try:
        import av
    except ImportError as error:
        raise ArgusError("videos, streams and webcams need the extra: pip install 'argus-perception[video]'") from error
    return av


def _open(av: Any, address: str) -> Any:
    if not address.startswith(WEBCAM):
        return av.open(address)
    format, pattern = WEBCAMS.get(sys.platform, WEBCAMS["linux"])
    return av.open(pattern.format(address.removeprefix(WEBCAM) or "0"), format=format)


def _stream(container: Any) -> Any:
    """The first video stream that can be decoded and is no cover picture."""
    for stream in container.streams.video:
        if not (_is_cover(stream) or stream.codec_context is None):
            return stream
    return None


def _is_cover(stream: Any) -> bool:
    disposition = getattr(stream, "disposition", None)  # PyAV before 14.1 does not have it
    return disposition is not None and bool(disposition.value & _ATTACHED_PICTURE)


def _without_pictures(container: Any) -> str:
    """Why a container has no frames to show."""
    kinds = sorted({stream.type for stream in container.streams if not (stream.type == "video" and _is_cover(stream))})
    if "video" in kinds:
        return "its video is in a format that PyAV cannot decode; convert it to H.264"
    return f"holds no video{', only ' + ' and '.join(kinds) if kinds else ''}"


def _missing(container: Any, stream: Any, end: float) -> str:
    """How much of the stated length is missing, in words; ``end`` is the time of the last frame in seconds."""
    start = float((stream.start_time or 0) * stream.time_base) if stream.time_base else 0.0
    stated = float(stream.duration * stream.time_base) if stream.duration else (container.duration or 0) / 1e6
    alone = stream.duration or len(container.streams) == 1
    step = 1 / float(stream.average_rate) if stream.average_rate else 0.0
    there = end - start + step
    if not alone or stated - there <= max(_SHORT, 0.05 * stated):
        return ""
    return f"{there:.1f} of {stated:.1f} s are there"


def _reason(address: str, error: Exception) -> str:
    path = Path(address)
    if "://" not in address and path.is_file() and path.stat().st_size == 0:
        return "it is empty"
    if type(error).__name__ == "InvalidDataError":
        return "its content is no video that FFmpeg knows, or its end is missing"
    if type(error).__name__ == "EOFError":
        return "its end is missing"
    return getattr(error, "strerror", None) or str(error)
