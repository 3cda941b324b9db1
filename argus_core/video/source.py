"""Opening a film, a stream or a webcam, and what its container says about it."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from argus_core.common.extras import need
from argus_core.image.url import is_url

VIDEOS = {
    *(".mp4", ".m4v", ".mov", ".3gp", ".avi", ".mkv", ".webm", ".ogv", ".flv", ".wmv"),
    *(".mpg", ".mpeg", ".ts", ".mts", ".m2ts"),
}
"""Suffixes of films."""
WEBCAM = "webcam:"
WEBCAMS = {"linux": ("v4l2", "/dev/video{}"), "darwin": ("avfoundation", "{}"), "win32": ("dshow", "video={}")}
UNTIMED = ("mpjpeg", "mjpeg")
"""FFmpeg's names of streams without time stamps, as of network cameras: theirs are those of the arrival."""
RATE = Fraction(25)
"""Frames per second of a film that does not tell."""
PATIENCE = 30.0
"""Seconds to wait for a server."""
_ATTACHED_PICTURE = 1 << 10
"""FFmpeg's flag of a stream that is the cover picture of a song."""


@dataclass(frozen=True)
class Prospect:
    """What is known of a film before it is read: ``frames`` is about their number, None where nothing tells it."""

    frames: int | None
    rate: Fraction


def library() -> Any:
    """PyAV; raises ArgusError if it is not installed."""
    return need("av", "video")


def open_source(address: str) -> Any:
    """The container of a film, stream or webcam; raises the errors of PyAV."""
    av = library()
    if address.startswith(WEBCAM):
        format, pattern = WEBCAMS.get(sys.platform, WEBCAMS["linux"])
        return av.open(pattern.format(address.removeprefix(WEBCAM) or "0"), format=format)
    if is_stored(address):
        return av.open(address, timeout=PATIENCE if is_url(address) else None, metadata_errors="replace")
    container = av.open(address, timeout=PATIENCE, metadata_errors="replace")
    if container.format.name not in UNTIMED:
        return container
    container.close()
    return av.open(address, timeout=PATIENCE, options={"use_wallclock_as_timestamps": "1"})


def is_stored(address: str) -> bool:
    """Whether a source is a file, here or on the web, which ends and can be read twice; streams and webcams are not."""
    if is_url(address):
        return Path(urlsplit(address).path).suffix.lower() in VIDEOS
    return not ("://" in address or address.startswith(WEBCAM))


def prospect(address: str) -> Prospect:
    """What the container of a film tells; streams and webcams, which cannot be opened twice, are not asked."""
    av = library()
    if not is_stored(address):
        return Prospect(None, RATE)
    try:
        with open_source(address) as container:
            stream = pictures_of(container)
            if stream is None:
                return Prospect(0, RATE)
            rate = rate_of(stream)
            return Prospect(stream.frames or _by_duration(container, stream, rate), rate)
    except (av.FFmpegError, OSError, ValueError):  # reading it tells why
        return Prospect(0, RATE)


def pictures_of(container: Any) -> Any:
    """The first video stream that can be decoded and is no cover picture; None if there is none."""
    for stream in container.streams.video:
        if not (is_cover(stream) or stream.codec_context is None):
            return stream
    return None


def is_cover(stream: Any) -> bool:
    """Whether a video stream is the cover picture of a song."""
    disposition = getattr(stream, "disposition", None)  # PyAV before 14.1 does not have it
    return disposition is not None and bool(disposition.value & _ATTACHED_PICTURE)


def rate_of(stream: Any) -> Fraction:
    """Frames per second of a video stream, on average; a usual number where nothing or nonsense is stated."""
    rate = stream.average_rate or stream.guessed_rate
    return Fraction(rate) if rate and Fraction(1, 3600) <= rate <= 1000 else RATE


def start_of(container: Any) -> Fraction | None:
    """The time stamp, in seconds, at which players start to count; None if it is not stated."""
    return None if container.start_time is None else Fraction(container.start_time, 1_000_000)


def _by_duration(container: Any, stream: Any, rate: Fraction) -> int | None:
    if stream.duration and stream.time_base:
        return round(stream.duration * stream.time_base * rate)
    return round(Fraction(container.duration, 1_000_000) * rate) if container.duration else None
